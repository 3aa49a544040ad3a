import { Button } from '@mantine/core'
import { List, Plus } from 'lucide-react'
import { useCallback, useMemo, useRef } from 'react'
import { useSearchParams } from 'wouter'
import type { MetricList } from '../api/types'
import { PageHeader } from '../components/page'
import { useParam, useRange } from '../lib/url'
import { Browser, exprOfMetric } from '../promql/browser'
import { Panel } from '../promql/panel'
import { useMetricNames } from '../promql/queries'
import { type PanelQuery, queriesOf, withQueries } from '../promql/url'
import { SavedViews } from '../saved/menu'
import '../promql/promql.css'

const asked = '{span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER", job=""}'
const examples: [string, string][] = [
  ['Requests per second', `sum by (service_name) (rate(traces_span_metrics_calls_total${asked}[5m]))`],
  [
    'Error share',
    `sum by (service_name) (rate(traces_span_metrics_calls_total{span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER", job="", status_code="STATUS_CODE_ERROR"}[5m])) / sum by (service_name) (rate(traces_span_metrics_calls_total${asked}[5m]))`,
  ],
  ['p95 in ms', `histogram_quantile(0.95, sum by (service_name, le) (rate(traces_span_metrics_duration_milliseconds_bucket${asked}[5m])))`],
  ['Log lines per second', 'sum by (severity) (rate(logs_records_total[5m]))'],
]

/** PromQL over what the views and the OTLP metrics hold: several queries, each with its graph or its table. */
export default function QueryPage() {
  const [params, setParams] = useSearchParams()
  const [range] = useRange()
  const [browse, setBrowse] = useParam('browse')
  const names = useMetricNames(browse !== '')
  const queries = useMemo(() => queriesOf(params), [params])
  const ids = useRef<number[]>([])
  const next = useRef(0)
  while (ids.current.length < queries.length) ids.current.push(next.current++)
  ids.current.length = queries.length
  const put = useCallback((to: (now: PanelQuery[]) => PanelQuery[]) => setParams((p) => withQueries(p, to(queriesOf(p)))), [setParams])
  const known = useMemo(() => new Set(names.data), [names.data])
  const choose = useCallback(
    (m: MetricList['metrics'][number]) => {
      const q: PanelQuery = { expr: exprOfMetric(m, known), tab: 'graph' }
      put((now) => {
        const free = now.findIndex((n) => n.expr === '')
        return free < 0 ? [...now, q] : now.map((n, i) => (i === free ? q : n))
      })
    },
    [put, known],
  )
  return (
    <>
      <PageHeader
        title="Metrics"
        sentence="PromQL over the views and the OTLP metrics."
        actions={
          <>
            <SavedViews page="metrics" />
            <Button
              leftSection={<List size={14} aria-hidden="true" />}
              aria-expanded={browse !== ''}
              onClick={() => setBrowse(browse === '' ? 'metrics' : '')}
            >
              {browse === '' ? 'Browse metrics' : 'Hide the metrics'}
            </Button>
          </>
        }
      />
      {browse !== '' && <Browser onChoose={choose} />}
      {queries.map((q, i) => (
        <Panel
          key={ids.current[i]}
          query={q}
          at={i}
          range={range}
          onQuery={(to) => put((now) => now.map((n, j) => (j === i ? to : n)))}
          onRemove={
            queries.length === 1
              ? undefined
              : () => {
                  ids.current.splice(i, 1)
                  put((now) => now.filter((_, j) => j !== i))
                }
          }
        />
      ))}
      {queries.length === 1 && queries[0]?.expr === '' && (
        <p className="pq-examples">
          <span className="dim">Examples:</span>{' '}
          {examples.map(([label, expr]) => (
            <Button key={label} onClick={() => put(() => [{ expr, tab: 'graph' }])}>
              {label}
            </Button>
          ))}
        </p>
      )}
      {queries.some((q) => q.expr !== '') && (
        <Button leftSection={<Plus size={14} aria-hidden="true" />} onClick={() => put((now) => [...now, { expr: '', tab: 'graph' }])}>
          Add query
        </Button>
      )}
    </>
  )
}
