import { useMemo } from 'react'
import type { LogVolume } from '../api/types'
import { Chart, type Line as ChartLine } from '../chart/chart'
import { MetaWarnings, Problem, Section, Waiting } from '../components/bits'
import { count, exact } from '../lib/format'
import { type Span, secondsOf, timesOf } from '../lib/range'
import type { LineFilter } from './filter'
import { type Severity, severities, severityOf } from './line'
import { useLogVolume } from './queries'

const colors: Record<Severity, string> = {
  error: '--c-error',
  warn: '--c-orange',
  info: '--c-sky',
  debug: '--c-debug',
  other: '--c-purple',
}

/** The lines that match all filters, over the range. */
export function Volume({ filter, span, enabled }: { filter: LineFilter; span: Span; enabled: boolean }) {
  const volume = useLogVolume(filter, span, enabled)
  const chart = useMemo(() => (volume.data ? volumeOf(volume.data, span) : undefined), [volume.data, span])
  const total = volume.data?.buckets.reduce((n, b) => n + b.count, 0)
  return (
    <Section
      title="Volume"
      note={total !== undefined && <span title={exact(total)}>{count(total)} lines; drag to zoom, double-click to zoom out</span>}
    >
      <MetaWarnings meta={volume.data?.meta} />
      {volume.error !== null && volume.data !== undefined && <Problem error={volume.error} />}
      <div className="charts charts-one">
        {chart === undefined ? (
          <Waiting what="the volume" error={volume.error} />
        ) : (
          <Chart title="Lines" unit="per step" format={count} {...chart} stacked height={132} />
        )}
      </div>
    </Section>
  )
}

/** Counts of each severity at the end of each step; debugging at the bottom, what matters at the top. */
export function volumeOf(volume: LogVolume, span: Span): { times: number[]; lines: ChartLine[]; span: [number, number] } {
  const step = volume.step_s
  const { start, end = start + secondsOf(span) } = timesOf(span)
  const first = Math.floor(start / step) * step
  const n = Math.max(1, Math.ceil((end - first) / step))
  const of = new Map(severities.map((s) => [s, new Array<number>(n).fill(0)]))
  for (const b of volume.buckets) {
    const i = Math.floor((Date.parse(b.time) / 1000 - first) / step)
    const values = of.get(severityOf(b.severity))
    if (values && i >= 0 && i < n) values[i] = (values[i] ?? 0) + b.count
  }
  const lines = [...severities]
    .reverse()
    .map((s): ChartLine => ({ label: s, color: colors[s], values: of.get(s) ?? [] }))
    .filter((l) => l.label !== 'other' || l.values.some((v) => v !== 0))
  return { times: Array.from({ length: n }, (_, i) => first + (i + 1) * step), lines, span: [first, first + n * step] }
}
