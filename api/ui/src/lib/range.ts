import { serverNow } from './clock'

export const ranges = ['5m', '15m', '1h', '6h'] as const
export type Range = (typeof ranges)[number]
export const defaultRange: Range = '15m'

const seconds: Record<Range, number> = { '5m': 300, '15m': 900, '1h': 3600, '6h': 21600 }

export function parseRange(s: string | null): Range {
  return ranges.find((r) => r === s) ?? defaultRange
}

export function rangeSeconds(r: Range): number {
  return seconds[r]
}

/** Start of the range that ends now, as Unix seconds. */
export function rangeStart(r: Range): number {
  return Math.floor(serverNow() / 1000) - seconds[r]
}

/** Which times are asked for: the range up to now, or from one time to another, in Unix seconds. */
export type Span = { range: Range } | { from: number; to: number }

export function secondsOf(s: Span): number {
  return 'range' in s ? seconds[s.range] : s.to - s.from
}

export function timesOf(s: Span): { start: number; end?: number } {
  return 'range' in s ? { start: rangeStart(s.range) } : { start: s.from, end: s.to }
}

/** What `from` and `to` of the URL say; the range where they say nothing that makes sense. */
export function parseSpan(from: string, to: string, range: Range): Span {
  const f = Number(from)
  const t = Number(to)
  return from !== '' && Number.isFinite(f) && Number.isFinite(t) && t > f && f >= 0 ? { from: f, to: t } : { range }
}

/**
 * Whether what was first seen then is new in the range that begins at `start` (ms). Where counting began within the range, nothing
 * seen in its first minute is known to be new.
 */
export function isNew(firstSeen: string | null | undefined, start: number, since: string | null | undefined): boolean {
  if (!firstSeen) return false
  const seen = Date.parse(firstSeen)
  const began = since ? Date.parse(since) : start
  return seen >= start && (began <= start + 20_000 || seen >= began + 60_000)
}
