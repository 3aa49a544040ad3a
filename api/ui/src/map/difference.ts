import type { Edge } from '../api/types'
import { millis, percent, rate } from '../lib/format'
import { type Range, rangeSeconds } from '../lib/range'

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

/** By how many seconds the range compared with lies earlier; 0 for what cannot be compared. Ranges must not overlap. */
export function earlierBy(comparison: string, range: Range): number {
  const seconds = { before: rangeSeconds(range), hour: 3_600, day: 86_400 }[comparison] ?? 0
  return seconds >= rangeSeconds(range) ? seconds : 0
}
