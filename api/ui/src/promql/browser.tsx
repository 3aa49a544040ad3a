import { useDeferredValue, useMemo, useState } from 'react'
import type { MetricList } from '../api/types'
import { Problem, Waiting } from '../components/bits'
import { FilterBox } from '../components/filter'
import { Name } from '../components/name'
import { type Column, Table } from '../components/table'
import { exact } from '../lib/format'
import { useMetricList } from './queries'

type Metric = MetricList['metrics'][number]

/** A first expression for a metric: counters as rates, histograms as their 95th percentile. */
export function exprOfMetric(m: Pick<Metric, 'name' | 'type'>, names: ReadonlySet<string>): string {
  if (m.type === 'counter') return `sum(rate(${m.name}[5m]))`
  if (m.type !== 'histogram') return m.name
  const classic = `${m.name}_bucket`
  return names.has(classic)
    ? `histogram_quantile(0.95, sum by (le) (rate(${classic}[5m])))`
    : `histogram_quantile(0.95, sum(rate(${m.name}[5m])))`
}

/** All metrics with type, help and number of series; choosing one makes a query of it. */
export function Browser({ onChoose }: { onChoose: (m: Metric) => void }) {
  const { data, error } = useMetricList()
  const [text, setText] = useState('')
  const words = useDeferredValue(text.toLowerCase().split(/\s+/).filter(Boolean))
  const rows = useMemo(
    () => data?.filter((m) => words.every((w) => `${m.name} ${m.type} ${m.help}`.toLowerCase().includes(w))),
    [data, words],
  )
  const columns = useMemo<Column<Metric>[]>(
    () => [
      {
        id: 'name',
        label: 'Metric',
        className: 'pq-metric',
        sort: (m) => m.name,
        cell: (m) => (
          <button type="button" className="plain" data-row-link onClick={() => onChoose(m)}>
            <Name of={m.name} />
          </button>
        ),
      },
      { id: 'type', label: 'Type', sort: (m) => m.type, cell: (m) => m.type },
      { id: 'series', label: 'Series', numeric: true, sort: (m) => m.series, cell: (m) => exact(m.series) },
      { id: 'help', label: 'Help', wide: true, cell: (m) => <span className="dim">{m.help}</span> },
    ],
    [onChoose],
  )
  if (error) return <Problem error={error} />
  if (rows === undefined) return <Waiting what="metrics" />
  const total = data?.reduce((sum, m) => sum + m.series, 0) ?? 0
  return (
    <div className="pq-browser">
      <div className="tools">
        <FilterBox label="Filter metrics" value={text} onChange={setText} />
        <span className="dim">
          {rows.length} of {data?.length} metrics, {exact(total)} series
        </span>
      </div>
      <Table label="Metrics" rows={rows} columns={columns} rowKey={(m) => m.name} sort="name" param="metrics" empty="No metric matches." />
    </div>
  )
}
