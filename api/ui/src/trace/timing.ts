import type { Timing } from './analysis'
import type { SpanTree } from './tree'

/** The times of a tree as plain arrays, which go to a worker without being copied piece by piece. */
export function timingOf(tree: SpanTree): Timing {
  const n = tree.nodes.length
  const t: Timing = { parent: new Int32Array(n), start: new Float64Array(n), end: new Float64Array(n), async: new Uint8Array(n) }
  for (const node of tree.nodes) {
    const i = node.index
    t.parent[i] = node.parent?.index ?? -1
    t.start[i] = node.offset
    t.end[i] = node.offset + node.span.duration
    t.async[i] = node.kind === 'producer' || node.kind === 'consumer' ? 1 : 0
  }
  return t
}
