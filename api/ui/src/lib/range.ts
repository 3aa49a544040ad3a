import { serverNow } from './clock'

/**
 * The time range of the page, as its parts stand in the URL: `15m` is from now-15m to now; `A..B` has two moments, each `now`,
 * `now-1h` or Unix seconds. One text, so that it is a key.
 */
export type Range = string

export const defaultRange: Range = '15m'

/** The ranges to choose from with one click. */
export const quickRanges: [Range, string][] = [
  ['5m', 'Last 5 min'],
  ['15m', 'Last 15 min'],
  ['30m', 'Last 30 min'],
  ['1h', 'Last hour'],
  ['3h', 'Last 3 h'],
  ['6h', 'Last 6 h'],
  ['12h', 'Last 12 h'],
  ['24h', 'Last 24 h'],
  ['2d', 'Last 2 days'],
  ['7d', 'Last 7 days'],
  ['30d', 'Last 30 days'],
  ['90d', 'Last 90 days'],
  ['400d', 'Last 400 days'],
]

const units: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }
const longest = 400 * 86_400
const shortest = 10
/** The server keeps live views up to this length; longer ranges are read again every few seconds. */
const longestLive = 86_400

/** 15m, 6h, 2d as seconds. */
export function lengthOf(text: string): number | undefined {
  const m = /^(\d{1,7})([smhdw])$/.exec(text)
  if (m === null) return undefined
  const s = Number(m[1]) * (units[m[2] as string] as number)
  return s >= shortest && s <= longest ? s : undefined
}

/** Seconds as the shortest such text. */
export function lengthText(seconds: number): string {
  const s = Math.max(shortest, Math.round(seconds))
  for (const [u, n] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
  ] as const)
    if (s % n === 0) return `${s / n}${u}`
  return `${s}s`
}

/** A part of the URL in its one spelling; undefined for what is no moment. ISO becomes Unix seconds. */
function partOf(text: string): string | undefined {
  const t = text.trim()
  if (t === 'now') return t
  if (t.startsWith('now-')) return lengthOf(t.slice(4)) === undefined ? undefined : t
  if (/^\d{1,11}(\.\d+)?$/.test(t)) return String(Math.floor(Number(t)))
  if (/^\d{12,}$/.test(t)) return String(Math.floor(Number(t) / 1000)) // milliseconds, as other programs write them
  const ms = /^\d{4}-\d\d-\d\d/.test(t) ? Date.parse(t) : Number.NaN
  return Number.isNaN(ms) || ms < 0 ? undefined : String(Math.floor(ms / 1000))
}

function secondsAt(part: string, now: number): number {
  if (part === 'now') return now
  return part.startsWith('now-') ? now - (lengthOf(part.slice(4)) ?? 0) : Number(part)
}

/** The range from one moment to another, in its one spelling; undefined where it would be empty or too long. */
export function rangeOf(from: string, to: string): Range | undefined {
  const [a, b] = [partOf(from), partOf(to === '' ? 'now' : to)]
  if (a === undefined || b === undefined) return undefined
  const now = Math.floor(serverNow() / 1000)
  const length = secondsAt(b, now) - secondsAt(a, now)
  if (length < 1 || length > longest + 60) return undefined
  return b === 'now' && a.startsWith('now-') ? a.slice(4) : `${a}..${b}`
}

/** What the URL says: from and to, else the older `range=15m`, else the default. */
export function rangeOfQuery(q: { get: (name: string) => string | null }): Range {
  const from = q.get('from')
  const r = from ? rangeOf(from, q.get('to') ?? '') : undefined
  if (r !== undefined) return r
  const old = q.get('range') ?? ''
  return lengthOf(old) === undefined ? defaultRange : old
}

/** The parameters that say so; what is the default is left out. */
export function queryOfRange(r: Range): { from?: string; to?: string } {
  if (r === defaultRange) return {}
  const [from = '', to = ''] = partsOf(r)
  return to === 'now' ? { from } : { from, to }
}

function partsOf(r: Range): [string, string] {
  const at = r.indexOf('..')
  return at < 0 ? [`now-${lengthOf(r) === undefined ? defaultRange : r}`, 'now'] : [r.slice(0, at), r.slice(at + 2)]
}

/** Whether new data belongs to it. */
export const endsNow = (r: Range): boolean => partsOf(r)[1] === 'now'

/** The length of a range that the server keeps live; undefined for others. */
export function liveLength(r: Range): string | undefined {
  if (r.includes('..')) return undefined
  const s = lengthOf(r) ?? 0
  return s <= longestLive ? lengthText(s).replace(/^(\d+)d$/, (_, d) => `${Number(d) * 24}h`) : undefined
}

function bounds(r: Range): [number, number] {
  const now = Math.floor(serverNow() / 1000)
  const [from, to] = partsOf(r)
  return [secondsAt(from, now), secondsAt(to, now)]
}

export function rangeSeconds(r: Range): number {
  const [a, b] = bounds(r)
  return Math.max(1, b - a)
}

/** Start of the range, as Unix seconds. */
export const rangeStart = (r: Range): number => bounds(r)[0]

/** End of the range, as Unix seconds; now where it ends now. */
export const rangeEnd = (r: Range): number => bounds(r)[1]

/** The range of two times, in Unix seconds; one that ends now or later goes on. */
export function rangeBetween(from: number, to: number): Range {
  const now = Math.floor(serverNow() / 1000)
  const [a, b] = [Math.floor(from), Math.max(Math.floor(from) + shortest, Math.ceil(to))]
  return b >= now ? lengthText(Math.min(longest, Math.max(shortest, now - a))) : `${a}..${b}`
}

/** The range of the same length just before, or just after. */
export function shifted(r: Range, by: 1 | -1): Range {
  const [a, b] = bounds(r)
  const next = [a + by * (b - a), b + by * (b - a)] as const
  const now = Math.floor(serverNow() / 1000)
  return next[1] >= now ? lengthText(b - a) : `${next[0]}..${next[1]}`
}

/** The same with two fixed moments: what is compared with must not move. */
export function absoluteRange(r: Range): Range {
  const [a, b] = bounds(r)
  return `${a}..${b}`
}

/** The newest moment that an answer about the range can hold: its end, where that is over. */
export function newestOf(r: Range, upTo: string | null): string | null {
  return endsNow(r) ? upTo : new Date(rangeEnd(r) * 1000).toISOString()
}

/** Twice as long around the same middle. */
export function zoomedOut(r: Range): Range {
  const [a, b] = bounds(r)
  const length = Math.min(longest, 2 * (b - a))
  const from = Math.floor((a + b) / 2 - length / 2)
  return rangeBetween(from, from + length)
}

/** Which times are asked for: a range, or from one time to another, in Unix seconds. */
export type Span = { range: Range } | { from: number; to: number }

export function secondsOf(s: Span): number {
  return 'range' in s ? rangeSeconds(s.range) : s.to - s.from
}

/** The parameters of a request. Without an end the server takes its newest data. */
export function timesOf(s: Span | Range): { start: number; end?: number } {
  if (typeof s === 'string') return timesOf({ range: s })
  if (!('range' in s)) return { start: s.from, end: s.to }
  return endsNow(s.range) ? { start: rangeStart(s.range) } : { start: rangeStart(s.range), end: rangeEnd(s.range) }
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
