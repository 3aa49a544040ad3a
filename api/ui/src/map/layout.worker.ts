import { place, type Topology } from './layout'

self.onmessage = (e: MessageEvent<{ key: string; topology: Topology }>) => {
  self.postMessage({ key: e.data.key, placed: place(e.data.topology) })
}
