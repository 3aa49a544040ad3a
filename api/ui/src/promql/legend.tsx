import { useState } from 'react'
import type { Line } from '../chart/chart'
import { Name } from '../components/name'
import { type Drawn, lookOf, textOf, valueWords } from './series'

/** Which series a chart shows: all, or those that were chosen in the legend. */
export function useShown(series: readonly Drawn[]) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const known = new Set(series.map((s) => s.key))
  const of = [...chosen].filter((k) => known.has(k))
  const shows = (key: string) => of.length === 0 || of.includes(key)
  /** One alone, or with a modifier one more or less. The only one again is all. */
  const choose = (key: string, more: boolean) => {
    if (!more) setChosen(of.length === 1 && of[0] === key ? new Set() : new Set([key]))
    else if (of.length === 0) setChosen(new Set(series.map((s) => s.key).filter((k) => k !== key)))
    else setChosen(new Set(of.includes(key) ? of.filter((k) => k !== key) : [...of, key]))
  }
  return { shows, choose, some: of.length > 0, all: () => setChosen(new Set()) }
}

export function linesOf(series: readonly Drawn[]): Line[] {
  return series.map((s, i) => ({ label: s.name, values: s.values, ...lookOf(i) }))
}

interface Props {
  series: readonly Drawn[]
  shown: ReturnType<typeof useShown>
  /** The place under the cursor; null: the newest values. */
  at: number | null
  /** Without colours: the chart has none for each series. */
  plain?: boolean
  /** How values are written. */
  words?: (v: number) => string
}

/** The series of a chart with their values. A click shows one alone, with Ctrl or Shift one more or less. */
export function Legend({ series, shown, at, plain = false, words = valueWords }: Props) {
  return (
    <ul className="pq-legend" aria-label="Series">
      {series.map((s, i) => {
        const { color, dash } = lookOf(i)
        const value = at === null ? s.values.findLast((v) => v !== null) : s.values[at]
        return (
          <li key={s.key}>
            <button
              type="button"
              aria-pressed={shown.shows(s.key)}
              title={`${textOf(s.metric)}\nClick: only this series. Ctrl or Shift and click: this series too, or without it.`}
              onClick={(e) => shown.choose(s.key, e.ctrlKey || e.metaKey || e.shiftKey)}
            >
              {!plain && (
                <svg width="14" height="8" viewBox="0 0 14 8" aria-hidden="true">
                  <path d="M0 4h14" stroke={`var(${color})`} strokeWidth="3" strokeDasharray={dash?.join(' ')} />
                </svg>
              )}
              <span className="pq-legend-name">
                <Name of={s.name} />
              </span>
              <b>{value == null ? '–' : words(value)}</b>
            </button>
          </li>
        )
      })}
    </ul>
  )
}
