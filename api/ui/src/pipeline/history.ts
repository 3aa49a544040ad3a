import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { getJSON } from '../api/client'
import { useEvery } from '../api/queries'
import type { PipelineHistory } from '../api/types'
import type { Line } from '../chart/chart'
import { type Range, timesOf } from '../lib/range'

export function usePipelineHistory(range: Range) {
  return useQuery({
    queryKey: ['pipeline', 'history', range],
    queryFn: ({ signal }) => getJSON<PipelineHistory>('/api/v1/pipeline/history', timesOf(range), signal),
    refetchInterval: useEvery(10_000, range),
    placeholderData: keepPreviousData,
  })
}

type Values = (number | null)[]

const colors = ['--c-blue', '--c-orange', '--c-purple', '--c-sky']

/** The lines of the charts. The step under way is left out: its rates are of its beginning only. */
export function linesOf(h: PipelineHistory, now: number) {
  const whole = h.times.filter((t) => t + h.step_s <= now / 1000).length
  const cut = (v: Values): Values => v.slice(0, whole)
  const byTopic = (of: (t: PipelineHistory['topics'][number]) => Values): Line[] =>
    h.topics.map((t, i) => ({ label: t.topic, color: colors[i % colors.length] ?? '--c-blue', values: cut(of(t)) }))
  const line = (label: string, color: string, values: Values, fill = false): Line => ({ label, color, values: cut(values), fill })
  return {
    times: h.times.slice(0, whole),
    lag: byTopic((t) => t.lag),
    behind: byTopic((t) => t.behind_ms.map((v) => (v === null ? null : v / 1000))),
    records: byTopic((t) => t.records_per_s),
    counted: [
      line('spans', '--c-blue', h.spans_per_s),
      line('log lines', '--c-orange', h.lines_per_s),
      line('data points', '--c-purple', h.points_per_s),
    ],
    disk: [
      line(
        'data folder',
        '--c-purple',
        h.disk_bytes.map((v) => (v === null ? null : v / 2 ** 20)),
        true,
      ),
    ],
  }
}
