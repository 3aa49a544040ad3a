import { Button } from '@mantine/core'
import { type RefObject, useMemo, useState } from 'react'
import { Chart } from '../chart/chart'
import type { Threshold } from '../chart/threshold'
import { Problem, Status } from '../components/bits'
import type { Range } from '../lib/range'
import { NoSeries } from './empty'
import { HistogramHeat } from './heatmap'
import { Legend, linesOf, useShown } from './legend'
import { useRangeQuery } from './queries'
import { ordered, valueWords } from './series'
import './promql.css'

interface Props {
  expr: string
  range: Range
  title: string
  /** How many series are drawn at once before the rest is folded. */
  fold: number
  threshold?: Threshold | undefined
  height?: number
  /** Takes another text for the expression. */
  onChange?: ((expr: string) => void) | undefined
  /** Errors are shown elsewhere. */
  quiet?: boolean
  /** The ends of the axis of time, where they are not those of the steps. */
  span?: [number, number]
  /** Buckets as a heatmap, in the place of a line for each. */
  heatmap?: boolean
  /** Saves the chart as a picture. */
  png?: RefObject<(() => void) | null>
}

/** The graph of an expression over the page's time range. Its legend filters, and it says why it is empty. */
export function Graph({ expr, range, title, fold, threshold, height = 240, onChange, quiet = false, span, heatmap = false, png }: Props) {
  const { data, error, isPlaceholderData } = useRangeQuery(expr, range)
  const [whole, setWhole] = useState(false)
  const [at, setAt] = useState<number | null>(null)
  const low = threshold?.op.startsWith('<') ?? false
  const series = useMemo(() => ordered(data?.series ?? [], low), [data, low])
  const kept = useMemo(() => (whole ? series.slice(0, 200) : series.slice(0, fold)), [series, whole, fold])
  const shown = useShown(kept)
  const lines = linesOf(kept).filter((_, i) => shown.shows(kept[i]?.key ?? ''))
  // Native histograms have no lines to draw.
  const heated = data !== undefined && (heatmap || (data.histograms > 0 && data.series.length === 0 && threshold === undefined))
  const empty = data !== undefined && data.result.length === 0 && error === null
  return (
    <div className="pq-graph" aria-busy={isPlaceholderData}>
      {error && !quiet && <Problem error={error} />}
      {data?.notes.map((n) => (
        <p key={n} className="pq-empty">
          <Status health="pending" word={n} />
        </p>
      ))}
      {empty && !isPlaceholderData && <NoSeries expr={expr} onChange={onChange} />}
      {data !== undefined && data.histograms > 0 && !heated && (
        <p className="pq-empty">
          <Status
            health="nodata"
            word={`${data.histograms} series are native histograms, which lines cannot show. The heatmap and the table show them.`}
          />
        </p>
      )}
      {heated && data.result.length > 0 && (
        <HistogramHeat expr={expr} title={title} {...data} height={height} png={png} {...(span ? { span } : {})} />
      )}
      {!heated && ((!empty && (error === null || data !== undefined)) || threshold !== undefined) && (
        <Chart
          title={title}
          unit=""
          times={data?.times ?? []}
          lines={lines}
          format={valueWords}
          span={span ?? [data?.times[0] ?? 0, data?.times.at(-1) ?? 1]}
          height={height}
          threshold={threshold}
          onCursor={setAt}
          png={png}
        />
      )}
      {!heated && kept.length > 0 && <Legend series={kept} shown={shown} at={at} />}
      {!heated && (series.length > fold || shown.some) && (
        <p className="pq-fold">
          {series.length > fold && (
            <>
              <span className="dim">
                {kept.length} of {series.length} series, those with the {low ? 'smallest' : 'largest'} values.
              </span>{' '}
              <Button onClick={() => setWhole(!whole)}>
                {whole ? `Show ${fold}` : series.length > 200 ? 'Show 200' : `Show all ${series.length}`}
              </Button>
            </>
          )}{' '}
          {shown.some && <Button onClick={shown.all}>Clear the filter</Button>}
        </p>
      )}
    </div>
  )
}
