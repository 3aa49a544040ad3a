import type { Edge } from '../api/types'
import { millis, percent, rate } from '../lib/format'
import { type Range, rangeEnd, rangeOf, rangeSeconds, rangeStart } from '../lib/range'

export type Kind = 'added' | 'gone' | 'changed' | 'same'
export const kinds: Kind[] = ['added', 'gone', 'changed', 'same']

export function kindOf(edge: Edge): Kind {
  const what = edge.change?.what ?? []
  if (what.includes('added')) return 'added'
  if (what.includes('gone')) return 'gone'
  return what.length > 0 ? 'changed' : 'same'
}

/** How an edge changed, in words: rate 1.2 → 3.4 /s. */
export function wordsOf(edge: Edge): string[] {
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
export function worse(edge: Edge): boolean {
  const { what = [], before, now } = edge.change ?? {}
  if (before === undefined || now === undefined) return false
  return (what.includes('errors') && now.error_rate > before.error_rate) || (what.includes('latency') && now.p95_ms > before.p95_ms)
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
