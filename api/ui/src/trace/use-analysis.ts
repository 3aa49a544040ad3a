import { useEffect, useMemo, useState } from 'react'
import { type Analysis, analyze } from './analysis'
import { timingOf } from './timing'
import type { SpanTree } from './tree'

/** A trace of so many spans is analysed within a few milliseconds, without a worker. */
const atOnce = 2_000

/** The critical path and self times of a trace. undefined: a worker is still at it. */
export function useAnalysis(tree: SpanTree): Analysis | undefined {
  const small = useMemo(() => (tree.nodes.length <= atOnce ? analyze(timingOf(tree)) : undefined), [tree])
  const [large, setLarge] = useState<{ of: SpanTree; analysis: Analysis }>()
  useEffect(() => {
    if (tree.nodes.length <= atOnce) return
    const worker = new Worker(new URL('./analysis.worker.ts', import.meta.url), { type: 'module' })
    worker.onmessage = (e: MessageEvent<Analysis>) => setLarge({ of: tree, analysis: e.data })
    const t = timingOf(tree)
    worker.postMessage(t, [t.parent.buffer, t.start.buffer, t.end.buffer, t.async.buffer])
    return () => worker.terminate()
  }, [tree])
  return small ?? (large?.of === tree ? large.analysis : undefined)
}
