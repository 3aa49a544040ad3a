import type { Line } from '../chart/chart'
import { count, sig3 } from '../lib/format'

export type LabelSet = Record<string, string>

/** One series of an answer of Prometheus' API. A native histogram has no numbers to draw. */
export interface Series {
  metric: LabelSet
  values?: [number, string][]
  value?: [number, string]
  histograms?: unknown[]
  histogram?: unknown
}

export type ResultType = 'matrix' | 'vector' | 'scalar' | 'string'

export interface Drawn {
  key: string
  name: string
  metric: LabelSet
  values: (number | null)[]
}

/** A value as it is written on an axis and in a table. */
export const valueWords = (v: number): string => (Math.abs(v) >= 10_000 ? count(v) : sig3(v))

/** Times of a range query and the values of each series at them. */
export function gridOf(result: readonly Series[], start: number, end: number, step: number): { times: number[]; series: Drawn[] } {
  const n = Math.max(1, Math.round((end - start) / step) + 1)
  const times = Array.from({ length: n }, (_, i) => start + i * step)
  const numbers = result.filter((s) => s.values !== undefined)
  const names = namesOf(numbers.map((s) => s.metric))
  const series = numbers.map((s, i) => {
    const values = new Array<number | null>(n).fill(null)
    for (const [t, text] of s.values ?? []) {
      const [at, v] = [Math.round((t - start) / step), Number(text)]
      if (at >= 0 && at < n && Number.isFinite(v)) values[at] = v
    }
    return { key: textOf(s.metric), name: names[i] as string, metric: s.metric, values }
  })
  return { times, series }
}

/** A label set as PromQL writes it. */
export function textOf(metric: LabelSet): string {
  const { __name__: name = '', ...rest } = metric
  const pairs = Object.keys(rest)
    .sort()
    .map((k) => `${k}=${JSON.stringify(rest[k])}`)
  return pairs.length === 0 ? name || '{}' : `${name}{${pairs.join(', ')}}`
}

/** The labels that several series have in common; of one alone none. */
export function commonOf(metrics: readonly LabelSet[]): LabelSet {
  if (metrics.length < 2) return {}
  return Object.fromEntries(Object.entries(metrics[0] ?? {}).filter(([k, v]) => metrics.every((m) => m[k] === v)))
}

/** Short names: without the labels that are the same in all of several series. */
export function namesOf(metrics: readonly LabelSet[]): string[] {
  if (metrics.length < 2) return metrics.map(textOf)
  const keys = [...new Set(metrics.flatMap((m) => Object.keys(m)))].sort()
  const differ = keys.filter((k) => metrics.some((m) => m[k] !== metrics[0]?.[k]))
  return metrics.map((m) => {
    const own = differ.filter((k) => k !== '__name__' && m[k] !== undefined)
    const name = differ.includes('__name__') ? (m.__name__ ?? '') : ''
    const values = own.length === 1 ? (m[own[0] as string] as string) : own.map((k) => `${k}=${m[k]}`).join(', ')
    return [name, values].filter(Boolean).join(' ') || textOf(m)
  })
}

/** The series that matter first: by their largest value, by their smallest where what is low is what is looked for. */
export function ordered(series: readonly Drawn[], low = false): Drawn[] {
  const best = (s: Drawn) => {
    let b = Number.NEGATIVE_INFINITY
    for (const v of s.values) if (v !== null) b = Math.max(b, low ? -v : v)
    return b
  }
  return series
    .map((s) => ({ s, at: best(s) }))
    .sort((a, b) => b.at - a.at || (a.s.key < b.s.key ? -1 : 1))
    .map((x) => x.s)
}

const colors = ['--s-0', '--s-1', '--s-2', '--s-3', '--s-4', '--s-5', '--s-6', '--s-7', '--s-8', '--s-9']
const dashes = [undefined, [6, 3], [2, 2]]

/** The look of the i-th series: ten colours, then the same dashed. */
export function lookOf(i: number): Pick<Line, 'color' | 'dash'> {
  const dash = dashes[Math.floor(i / colors.length) % dashes.length]
  return { color: colors[i % colors.length] as string, ...(dash ? { dash } : {}) }
}

/** A step for about so many points, in whole seconds that read well. */
export function roundStep(seconds: number, points = 240): number {
  const rough = seconds / points
  for (const s of [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400]) if (s >= rough) return s
  return Math.ceil(rough / 86_400) * 86_400
}
