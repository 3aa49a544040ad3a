import { type RefObject, useCallback, useMemo, useState } from 'react'
import { Chart } from '../chart/chart'
import type { Heat } from '../chart/heat'
import { Status } from '../components/bits'
import { moment } from '../lib/format'
import { boundWords, cellAt, heatedOf, isCumulative, rowWords, ticksOf } from './histogram'
import { Legend, useShown } from './legend'
import type { Series } from './series'

interface Props {
  expr: string
  title: string
  unit?: string
  result: readonly Series[]
  start: number
  end: number
  step: number
  times: readonly number[]
  height: number
  png?: RefObject<(() => void) | null> | undefined
  span?: [number, number] | undefined
  /** Without the list of series below. */
  bare?: boolean
  /** How the bounds of buckets are written. */
  words?: (v: number) => string
}

/** Histograms over time: darker is more. Series are added up; the legend filters them. */
export function HistogramHeat({
  expr,
  title,
  unit = '',
  result,
  start,
  step,
  times,
  height,
  png,
  span,
  bare = false,
  words: bound = boundWords,
}: Props) {
  const heated = useMemo(() => heatedOf(expr, result, { start, step, times }), [expr, result, start, step, times])
  const shown = useShown(heated.courses)
  const [at, setAt] = useState<number | null>(null)
  const keys = heated.courses.filter((c) => shown.shows(c.key)).map((c) => c.key)
  const key = keys.join('\n')
  // biome-ignore lint/correctness/useExhaustiveDependencies: the keys decide what is shown
  const grid = useMemo(() => heated.gridOf((k) => keys.includes(k)), [heated, key])
  const words = useCallback(
    (time: number, share: number) => {
      const cell = cellAt(grid, time, share)
      const bounds = cell && grid.bounds[cell.row]
      if (cell === undefined || bounds === undefined) return undefined
      const count = grid.cells[cell.row * grid.columns + cell.column]?.count ?? 0
      return `${moment((grid.times[cell.column] ?? 0) * 1000)}, ${rowWords(bounds, bound)}: ${boundWords(count)}`
    },
    [grid, bound],
  )
  const heat = useMemo<Heat>(() => ({ ...grid, ticks: ticksOf(grid, bound), words }), [grid, words, bound])
  if (heated.courses.length === 0)
    return (
      <p className="pq-empty">
        <Status health="nodata" word="A heatmap needs native histograms, or the buckets of classic ones: keep the label le." />
      </p>
    )
  return (
    <>
      <Chart
        title={title}
        unit={unit}
        times={times as number[]}
        lines={[]}
        format={boundWords}
        span={span ?? [times[0] ?? 0, times.at(-1) ?? 1]}
        height={height}
        heat={heat}
        png={png}
        onCursor={setAt}
      />
      {!bare && (
        <>
          <p className="dim pq-heat-words">
            {isCumulative(expr)
              ? 'The colour shows the increase of each bucket from step to step, because the expression reads counters without rate() or increase(). '
              : 'The colour shows the value of each bucket. '}
            {heated.courses.length > 1 && `${keys.length} of ${heated.courses.length} series are added up; beside their names are counts.`}
          </p>
          {heated.courses.length > 1 && <Legend series={heated.courses} shown={shown} at={at} plain />}
        </>
      )}
    </>
  )
}
