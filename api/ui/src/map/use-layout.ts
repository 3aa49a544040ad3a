import { useEffect, useRef, useState } from 'react'
import type { Placed, Topology } from './layout'
import type { Scope } from './scope'

export interface Layout extends Placed {
  key: string
  /** The lines whose ways these are. */
  edges: [string, string][]
}

/** Boxes and lines of the newest topology that the worker has placed; those before are kept while it works, and are then not current. */
export function useLayout(scope: Scope): { layout: Layout | undefined; current: boolean } {
  const topology: Topology = {
    nodes: scope.nodes.map((n) => n.id).sort(),
    edges: scope.lines.map((l): [string, string] => [l.from, l.to]).sort((a, b) => (String(a) < String(b) ? -1 : 1)),
  }
  const key = JSON.stringify(topology)
  const [result, setResult] = useState<Layout>()
  const worker = useRef<Worker | null>(null)
  useEffect(() => {
    const w = new Worker(new URL('./layout.worker.ts', import.meta.url), { type: 'module' })
    w.onmessage = (e: MessageEvent<{ key: string; placed: Placed }>) => {
      const { edges } = JSON.parse(e.data.key) as Topology
      setResult({ key: e.data.key, ...e.data.placed, edges })
    }
    worker.current = w
    return () => w.terminate()
  }, [])
  useEffect(() => {
    worker.current?.postMessage({ key, topology: JSON.parse(key) as Topology })
  }, [key])
  return { layout: result, current: result?.key === key }
}
