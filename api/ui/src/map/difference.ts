import type { Edge } from '../api/types'
import { millis, percent, rate } from '../lib/format'
import { type Range, rangeEnd, rangeOf, rangeSeconds, rangeStart } from '../lib/range'

export type Kind = 'added' | 'gone' | 'changed' | 'same'

/** What can have changed: an edge, or all edges that a box or a line stands for. */
export type Changed = Pick<Edge, 'change'>

export const kinds: Kind[] = ['added', 'gone', 'changed', 'same']

export function kindOf(edge: Changed): Kind {
  const what = edge.change?.what ?? []
  if (what.includes('added')) return 'added'
  if (what.includes('gone')) return 'gone'
  return what.length > 0 ? 'changed' : 'same'
}

/** How an edge changed, in words: rate 1.2 → 3.4 /s. */
export function wordsOf(edge: Changed): string[] {
  const { what = [], before, now } = edge.change ?? {}
  return what.map((w) => {
    if (before === undefined || now === undefined) return w
    switch (w) {
      case 'rate':
        return `rate ${rate(before.rate)} → ${rate(now.rate)} /s`
      case 'errors':
        return `failed ${percent(before.error_rate)} → ${percent(now.error_rate)} %`
      case 'latency':
        return `p95 ${millis(before.p95_ms)} → ${millis(now.p95_ms)} ms`
      default:
        return w
    }
  })
}

/** Whether the change is for the worse, as far as numbers tell: more failures, or slower. */
export function worse(edge: Changed): boolean {
  const { what = [], before, now } = edge.change ?? {}
  if (before === undefined || now === undefined) return false
  return (what.includes('errors') && now.error_rate > before.error_rate) || (what.includes('latency') && now.p95_ms > before.p95_ms)
}

type Counts = NonNullable<Edge['change']>['before']

function added(a: Counts, b: Counts): Counts {
  const calls = a.calls + b.calls
  const slow = b.p95_ms > a.p95_ms ? b : a
  return { ...slow, calls, failed: a.failed + b.failed, rate: a.rate + b.rate, error_rate: calls === 0 ? 0 : (a.failed + b.failed) / calls }
}

/** The change of several edges together: their counts, the p95 of the slowest, and everything that is beyond noise in one of them. */
export function together(edges: readonly Edge[]): Changed {
  const list = edges.flatMap((e) => (e.change ? [e.change] : []))
  const [first] = list
  if (first === undefined) return {}
  if (list.length === 1) return { change: first }
  const nothing = { ...first.before, calls: 0, failed: 0, rate: 0, error_rate: 0, p95_ms: 0 }
  const before = list.map((c) => c.before).reduce(added)
  const now = list.map((c) => c.now ?? nothing).reduce(added)
  const kinds = new Set(list.map((c) => kindOf({ change: c })))
  if (kinds.size === 1 && (kinds.has('added') || kinds.has('gone'))) return { change: { what: first.what, before, now } }
  const what = [...new Set(list.flatMap((c) => c.what))].map((w) => (w === 'added' || w === 'gone' ? 'rate' : w))
  return { change: { what: [...new Set(what)], before, now } }
}

export const comparisons = ['before', 'hour', 'day'] as const
export type Comparison = (typeof comparisons)[number]

/** Start and end of what a range is compared with: one of the words, or a range of its own. undefined: nothing. */
export function comparedTimes(comparison: string, range: Range): [number, number] | undefined {
  const earlier = earlierBy(comparison, range)
  if (earlier > 0) return [rangeStart(range) - earlier, rangeEnd(range) - earlier]
  const own = ownRange(comparison)
  return own === undefined ? undefined : [rangeStart(own), rangeEnd(own)]
}

/** A comparison that is a range as the page's own: FROM..TO. */
export function ownRange(comparison: string): Range | undefined {
  const at = comparison.indexOf('..')
  return at < 0 ? undefined : rangeOf(comparison.slice(0, at), comparison.slice(at + 2))
}

/** By how many seconds the range compared with lies earlier; 0 for what cannot be compared. Ranges must not overlap. */
export function earlierBy(comparison: string, range: Range): number {
  const seconds = { before: rangeSeconds(range), hour: 3_600, day: 86_400 }[comparison] ?? 0
  return seconds >= rangeSeconds(range) ? seconds : 0
}
