import type { Analysis } from './analysis'
import type { SpanNode, SpanTree } from './tree'

/** What the spans of one operation took together, in microseconds. */
export interface Total {
  key: string
  service: string
  operation: string
  count: number
  failed: number
  total: number
  self: number
  critical: number
  longest: SpanNode
}

const keyOf = (n: SpanNode, byOperation: boolean) => (byOperation ? `${n.service}\u0000${n.span.operationName}` : n.service)

/** Totals by operation, or by service. A span within one of the same group adds nothing to the group's total time: it was in it already. */
export function totalsOf(tree: SpanTree, analysis: Analysis | undefined, byOperation: boolean): Total[] {
  const groups = new Map<string, Total>()
  const ends = new Map<string, number>() // where the newest counted span of a group ends in the order of the tree
  for (const n of tree.nodes) {
    const key = keyOf(n, byOperation)
    let t = groups.get(key)
    if (t === undefined) {
      t = { key, service: n.service, operation: byOperation ? n.span.operationName : '', ...zero, longest: n }
      groups.set(key, t)
    }
    t.count++
    if (n.failed) t.failed++
    t.self += analysis?.self[n.index] ?? 0
    t.critical += analysis?.critical[n.index] ?? 0
    if (n.span.duration > t.longest.span.duration) t.longest = n
    if (n.index >= (ends.get(key) ?? 0)) {
      t.total += n.span.duration
      ends.set(key, n.index + n.below + 1)
    }
  }
  return [...groups.values()]
}

const zero = { count: 0, failed: 0, total: 0, self: 0, critical: 0 }
