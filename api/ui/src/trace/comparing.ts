import { selfTimes } from './analysis'
import { timingOf } from './timing'
import type { SpanTree } from './tree'

/** One operation in two traces. Times in microseconds. */
export interface Compared {
  key: string
  service: string
  operation: string
  here: Side
  there: Side
}

export interface Side {
  count: number
  failed: number
  self: number
}

/** What calls what, in one of the two traces only. */
export interface CallChange {
  key: string
  parent: string
  child: string
  count: number
  where: 'here' | 'there'
}

export interface Comparison {
  operations: Compared[]
  changes: CallChange[]
}

const none = (): Side => ({ count: 0, failed: 0, self: 0 })

/** Two traces, operation by operation, and the calls that only one of them has. */
export function compareTraces(here: SpanTree, there: SpanTree): Comparison {
  const operations = new Map<string, Compared>()
  for (const [side, tree] of [['here', here] as const, ['there', there] as const]) {
    const self = selfTimes(timingOf(tree))
    for (const n of tree.nodes) {
      const key = `${n.service}\u0000${n.span.operationName}`
      const c = operations.get(key) ?? { key, service: n.service, operation: n.span.operationName, here: none(), there: none() }
      operations.set(key, c)
      c[side].count++
      if (n.failed) c[side].failed++
      c[side].self += self[n.index] ?? 0
    }
  }
  const a = callsOf(here)
  const b = callsOf(there)
  const changes = [...onlyIn(a, b, 'here'), ...onlyIn(b, a, 'there')]
  return {
    operations: [...operations.values()].sort((x, y) => Math.abs(deltaOf(y)) - Math.abs(deltaOf(x)) || (x.key < y.key ? -1 : 1)),
    changes: changes.sort((x, y) => y.count - x.count || (x.key < y.key ? -1 : 1)),
  }
}

/** How much longer an operation itself took here than there. */
export const deltaOf = (c: Compared): number => c.here.self - c.there.self

function callsOf(tree: SpanTree): Map<string, CallChange> {
  const out = new Map<string, CallChange>()
  for (const n of tree.nodes) {
    const parent = n.parent === undefined ? '' : `${n.parent.service} ${n.parent.span.operationName}`
    const child = `${n.service} ${n.span.operationName}`
    const key = `${parent}\u0000${child}`
    const c = out.get(key) ?? { key, parent, child, count: 0, where: 'here' }
    c.count++
    out.set(key, c)
  }
  return out
}

const onlyIn = (a: Map<string, CallChange>, b: Map<string, CallChange>, where: 'here' | 'there'): CallChange[] =>
  [...a.values()].filter((c) => !b.has(c.key)).map((c) => ({ ...c, where }))
