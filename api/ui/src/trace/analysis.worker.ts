import { analyze, type Timing } from './analysis'

self.onmessage = (e: MessageEvent<Timing>) => {
  const a = analyze(e.data)
  const buffers = Object.values(a).map((list: Float64Array | Int32Array) => list.buffer)
  self.postMessage(a, { transfer: buffers })
}
