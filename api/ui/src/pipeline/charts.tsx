import { useMemo } from 'react'
import { Chart } from '../chart/chart'
import { Section, Waiting } from '../components/bits'
import { serverNow } from '../lib/clock'
import { count, duration, rate, sig3 } from '../lib/format'
import { rangeEnd, rangeSeconds } from '../lib/range'
import { useRange } from '../lib/url'
import { linesOf, usePipelineHistory } from './history'

/** How lag, rates and disk usage went over the range of the page, as far as the process remembers. */
export function PipelineCharts() {
  const [range] = useRange()
  const { data, error } = usePipelineHistory(range)
  const shown = useMemo(() => data && linesOf(data, serverNow()), [data])
  const end = rangeEnd(range)
  const span: [number, number] = [end - rangeSeconds(range), end]
  return (
    <Section
      title="Over time"
      note={
        data && `in steps of ${duration(data.step_s * 1000)}, since the process started, for ${duration(data.reaches_s * 1000)} at most`
      }
    >
      {shown === undefined ? (
        <div className="charts charts-waiting">
          <Waiting what="the course" error={error} />
        </div>
      ) : (
        <div className="charts charts-wide">
          <Chart title="Lag" unit="records" times={shown.times} lines={shown.lag} format={count} span={span} />
          <Chart title="Behind in event time" unit="s" times={shown.times} lines={shown.behind} format={sig3} span={span} />
          <Chart title="Records read" unit="/s" times={shown.times} lines={shown.records} format={rate} span={span} />
          <Chart title="Counted" unit="/s" times={shown.times} lines={shown.counted} format={rate} span={span} />
          <Chart title="Disk" unit="MiB" times={shown.times} lines={shown.disk} format={sig3} span={span} />
        </div>
      )}
    </Section>
  )
}
