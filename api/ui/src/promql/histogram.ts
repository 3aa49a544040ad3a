import type { Cell, Cells } from '../chart/cells'
import { type Drawn, namesOf, type Series, textOf, valueWords } from './series'

/** A bucket of a histogram: what is above `low` and at most `high`. */
export interface Bucket {
  low: number
  high: number
  count: number
}

export interface Histogram {
  count: number
  sum: number
  buckets: Bucket[]
}

/** A native histogram as Prometheus' API writes it: numbers as text, buckets as [rule, low, high, count]. */
export function histogramOf(of: unknown): Histogram | undefined {
  if (typeof of !== 'object' || of === null) return undefined
  const { count, sum, buckets } = of as { count?: unknown; sum?: unknown; buckets?: unknown }
  if (count === undefined) return undefined
  const list = Array.isArray(buckets) ? buckets : []
  return {
    count: Number(count),
    sum: Number(sum ?? Number.NaN),
    buckets: list
      .map((b) => ({ low: numberOf(b[1]), high: numberOf(b[2]), count: Number(b[3]) }))
      .filter((b) => !Number.isNaN(b.low) && b.high > b.low && Number.isFinite(b.count)),
  }
}

const numberOf = (text: unknown): number => (text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text))

/** The sample of a histogram in an answer: [time, histogram]. */
export const sampleOf = (of: unknown): Histogram | undefined => (Array.isArray(of) ? histogramOf(of[1]) : undefined)

/** One series of histograms at the times of a query; null where it has no sample. */
interface Course {
  metric: Record<string, string>
  at: (Histogram | null)[]
}

interface Times {
  start: number
  step: number
  times: readonly number[]
}

/** The native histograms of an answer. */
function nativeOf(result: readonly Series[], { start, step, times }: Times): Course[] {
  return result.flatMap((s) => {
    if (!Array.isArray(s.histograms)) return []
    const at = new Array<Histogram | null>(times.length).fill(null)
    for (const h of s.histograms as [number, unknown][]) {
      const i = Math.round((h[0] - start) / step)
      if (i >= 0 && i < at.length) at[i] = histogramOf(h[1]) ?? null
    }
    return [{ metric: s.metric, at }]
  })
}

/** The classic histograms of an answer: series that differ in `le` only are one. */
function classicOf(result: readonly Series[], { start, step, times }: Times): Course[] {
  const by = new Map<string, { metric: Record<string, string>; bounds: Map<number, Series> }>()
  for (const s of result) {
    const { le, ...metric } = s.metric
    if (le === undefined || s.values === undefined) continue
    const key = textOf(metric)
    const of = by.get(key) ?? { metric, bounds: new Map() }
    of.bounds.set(numberOf(le), s)
    by.set(key, of)
  }
  return [...by.values()].map(({ metric, bounds }) => {
    const sorted = [...bounds].filter(([b]) => !Number.isNaN(b)).sort(([a], [b]) => a - b)
    const low = (sorted[0]?.[0] ?? 0) > 0 ? 0 : -Infinity
    const at = times.map((): Histogram | null => null)
    const below = new Array<number>(times.length).fill(0) // the bucket before, cumulative
    for (const [i, [high, s]] of sorted.entries()) {
      const from = i === 0 ? low : (sorted[i - 1]?.[0] as number)
      for (const [t, text] of s.values ?? []) {
        const [n, v] = [Math.round((t - start) / step), Number(text)]
        if (n < 0 || n >= at.length || !Number.isFinite(v)) continue
        const h = at[n] ?? { count: 0, sum: Number.NaN, buckets: [] }
        // Buckets are not scraped at one instant: a lower one may be ahead.
        h.buckets.push({ low: from, high, count: Math.max(0, v - (below[n] as number)) })
        below[n] = Math.max(below[n] as number, v)
        h.count = below[n] as number
        at[n] = h
      }
    }
    return { metric, at }
  })
}

const keyOf = (b: Bucket): string => `${b.low} ${b.high}`

/** The increase from sample to sample of histograms that count since their start. A count that falls began again at zero. */
function increases({ metric, at }: Course): Course {
  let before: Histogram | null = null
  const out = at.map((h): Histogram | null => {
    if (h === null) return null
    const last = before
    before = h
    if (last === null) return null
    if (h.count < last.count) return h
    const had = new Map(last.buckets.map((b) => [keyOf(b), b.count]))
    return {
      count: h.count - last.count,
      sum: h.sum - last.sum,
      buckets: h.buckets.map((b) => ({ ...b, count: Math.max(0, b.count - (had.get(keyOf(b)) ?? 0)) })),
    }
  })
  return { metric, at: out }
}

/** Whether an expression reads counters as they are: their values grow since the start of a process. */
export const isCumulative = (expr: string): boolean => !/\b(?:x?rate|increase|irate|i?delta)\s*\(/.test(expr)

/** Whether an answer has anything that a heatmap can show. */
export const hasBuckets = (result: readonly Series[]): boolean =>
  result.some((s) => s.histograms !== undefined || s.histogram !== undefined || s.metric.le !== undefined)

/** Histograms over time as columns of time and rows of value. */
export interface HeatGrid extends Cells {
  /** From and to of each row, the lowest first. */
  bounds: { low: number; high: number }[]
  edges: number[]
  times: readonly number[]
  step: number
}

export interface Heated {
  courses: Drawn[]
  /** The sum of the series that are shown. */
  gridOf: (shows: (key: string) => boolean) => HeatGrid
}

const mostRows = 60

/** Everything that a heatmap of an answer needs. */
export function heatedOf(expr: string, result: readonly Series[], of: Times): Heated {
  let courses = nativeOf(result, of)
  if (courses.length === 0) courses = classicOf(result, of)
  if (isCumulative(expr)) courses = courses.map(increases)
  const names = namesOf(courses.map((c) => c.metric))
  const drawn = courses.map((c, i) => ({
    key: textOf(c.metric),
    name: names[i] as string,
    metric: c.metric,
    values: c.at.map((h) => h?.count ?? null),
  }))
  return {
    courses: drawn,
    gridOf: (shows) =>
      gridOf(
        courses.filter((_, i) => shows((drawn[i] as Drawn).key)),
        of,
      ),
  }
}

function gridOf(courses: readonly Course[], { times, step }: Times): HeatGrid {
  const points = new Set<number>()
  for (const c of courses) for (const h of c.at) for (const b of h?.buckets ?? []) if (b.count > 0) points.add(b.low).add(b.high)
  const bounds = merged(fitting([...points].sort((a, b) => a - b)))
  const rows = bounds.length
  const columns = times.length
  const cells = Array.from({ length: rows * columns }, (): Cell => ({ count: 0, failed: 0 }))
  for (const c of courses) {
    for (const [x, h] of c.at.entries()) {
      for (const b of h?.buckets ?? []) {
        if (b.count <= 0) continue
        for (const [row, share] of rowsOf(bounds, b)) (cells[row * columns + x] as Cell).count += b.count * share
      }
    }
  }
  let most = 0
  for (const c of cells) most = Math.max(most, c.count)
  return { columns, rows, cells, most, bounds, edges: edgesOf(bounds), times, step }
}

/** Rows between the bounds that occur. Far more of them than can be seen are taken together. */
function fitting(points: number[]): { low: number; high: number }[] {
  return points.slice(1).map((high, i) => ({ low: points[i] as number, high }))
}

function merged(rows: { low: number; high: number }[]): { low: number; high: number }[] {
  const by = Math.ceil(rows.length / mostRows)
  if (by <= 1) return rows
  const out: { low: number; high: number }[] = []
  for (let i = 0; i < rows.length; i += by) {
    out.push({ low: rows[i]?.low as number, high: rows[Math.min(rows.length, i + by) - 1]?.high as number })
  }
  return out
}

/** The rows that a bucket covers, each with its share of the bucket, by how much of it they cover. */
function rowsOf(bounds: readonly { low: number; high: number }[], b: Bucket): [number, number][] {
  const out: [number, number][] = []
  for (const [i, r] of bounds.entries()) {
    if (r.high <= b.low) continue
    if (r.low >= b.high) break
    out.push([i, covered(r, b)])
  }
  const sum = out.reduce((s, [, w]) => s + w, 0)
  return out.map(([i, w]) => [i, sum > 0 ? w / sum : 1 / out.length])
}

function covered(r: { low: number; high: number }, b: Bucket): number {
  const [low, high] = [Math.max(r.low, b.low), Math.min(r.high, b.high)]
  if (!Number.isFinite(high - low)) return 1
  return low > 0 ? Math.log(high / low) : high - low
}

/** Rows by the logarithm of their values. Those without one (at zero, below it, without an end) are as high as the others are on average. */
function edgesOf(bounds: readonly { low: number; high: number }[]): number[] {
  const heights = bounds.map((b) => (b.low > 0 && Number.isFinite(b.high) ? Math.log(b.high / b.low) : Number.NaN))
  const known = heights.filter((h) => !Number.isNaN(h))
  const usual = known.length > 0 ? known.reduce((s, h) => s + h, 0) / known.length : 1
  const edges = [0]
  for (const h of heights) edges.push((edges.at(-1) as number) + (Number.isNaN(h) ? usual : h))
  const total = edges.at(-1) || 1
  return edges.map((e) => e / total)
}

/** The place of a point: its column and row; undefined outside. */
export function cellAt(g: HeatGrid, time: number, share: number): { column: number; row: number } | undefined {
  const column = Math.ceil((time - (g.times[0] ?? 0)) / g.step)
  const row = g.edges.findIndex((e, i) => i > 0 && share < e) - 1
  return column < 0 || column >= g.columns || row < 0 ? undefined : { column, row }
}

/** Values beside the axis: bounds of rows, not closer than they can be read. */
export function ticksOf(g: HeatGrid, words = boundWords, atLeast = 0.09): { share: number; text: string }[] {
  const out: { share: number; text: string }[] = []
  for (const [i, share] of g.edges.entries()) {
    const value = i === 0 ? g.bounds[0]?.low : g.bounds[i - 1]?.high
    if (value === undefined || (out.length > 0 && share - (out.at(-1)?.share as number) < atLeast)) continue
    out.push({ share, text: endless(value, words) })
  }
  return out
}

const precise = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })

/** A bound of a bucket. Unlike other values, small ones are written out: rows differ by them. */
export function boundWords(v: number): string {
  if (v === Infinity) return '+Inf'
  if (v === -Infinity) return '-Inf'
  if (v === 0) return '0'
  return Math.abs(v) < 0.0001 ? v.toExponential(1) : Math.abs(v) < 1 ? precise.format(v) : valueWords(v)
}

/** A row in words: 0.25 to 0.5. */
export function rowWords({ low, high }: { low: number; high: number }, words = boundWords): string {
  if (high === Infinity) return `above ${words(low)}`
  if (low === -Infinity) return `at most ${words(high)}`
  return `${words(low)} to ${words(high)}`
}

const endless = (v: number, words: (v: number) => string): string => (Number.isFinite(v) ? words(v) : boundWords(v))
