import type { DashboardPanel } from '../api/types'
import { bytes, count, none, percent, took } from '../lib/format'
import { valueWords } from '../promql/series'

export type Unit = NonNullable<DashboardPanel['unit']>

export const units: [Unit, string][] = [
  ['', 'number'],
  ['percent', 'per cent (0 to 100)'],
  ['ratio', 'per cent (0 to 1)'],
  ['seconds', 'seconds'],
  ['milliseconds', 'milliseconds'],
  ['bytes', 'bytes'],
  ['bytes/s', 'bytes per second'],
  ['bits/s', 'bits per second'],
  ['per second', 'per second'],
]

const negative = (v: number, of: (v: number) => string): string => (v < 0 ? `-${of(-v)}` : of(v))

/** Values of a unit as they are written on an axis and in a legend. */
export function wordsOf(unit: string | undefined): (v: number) => string {
  switch (unit) {
    case 'percent':
      return (v) => `${negative(v, (x) => percent(x / 100))}%`
    case 'ratio':
      return (v) => `${negative(v, percent)}%`
    case 'seconds':
      return (v) => (v === 0 ? '0' : negative(v, (x) => took(x * 1000)))
    case 'milliseconds':
      return (v) => (v === 0 ? '0' : negative(v, took))
    case 'bytes':
      return (v) => negative(v, bytes)
    case 'bytes/s':
      return (v) => `${negative(v, bytes)}/s`
    case 'bits/s':
      return (v) => `${negative(v, count)}bit/s`
    case 'per second':
      return (v) => `${valueWords(v)}/s`
  }
  return valueWords
}

export type Reduce = NonNullable<DashboardPanel['reduce']>

export const reducers: [Reduce, string][] = [
  ['last', 'last value'],
  ['mean', 'mean'],
  ['max', 'largest'],
  ['min', 'smallest'],
  ['sum', 'sum'],
]

/** One number of a series. */
export function reduced(values: readonly (number | null)[], how: string | undefined): number | null {
  const known = values.filter((v): v is number => v !== null)
  if (known.length === 0) return null
  const sum = () => known.reduce((s, v) => s + v, 0)
  switch (how) {
    case 'mean':
      return sum() / known.length
    case 'sum':
      return sum()
    case 'max':
      return known.reduce((a, b) => Math.max(a, b))
    case 'min':
      return known.reduce((a, b) => Math.min(a, b))
  }
  return known.at(-1) as number
}

export const statWords = (v: number | null, unit: string | undefined): string => (v === null ? none : wordsOf(unit)(v))
