import { Button } from '@mantine/core'
import { Bell, ChartNoAxesGantt, CircleAlert, ExternalLink, ScrollText } from 'lucide-react'
import { useMemo } from 'react'
import { Link } from 'wouter'
import { type ChartKind, usualOf } from '../alert/from-chart'
import type { ApiError } from '../api/client'
import { useConfig, useDeployments, useOperations, useServiceMetrics } from '../api/queries'
import type { Alert, Operation, Service, ServiceHealth, ServiceMetrics } from '../api/types'
import { Chart, type Line, type Mark } from '../chart/chart'
import { Ago, Problem, Section, Since, Status, Waiting } from '../components/bits'
import { LinkButton } from '../components/button'
import { CallsOf, Deployments, isChange } from '../components/calls'
import { edgeNumbers, endColumn } from '../components/edge-columns'
import { Name } from '../components/name'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { count, duration, millis, none, percent, rate, spanKind } from '../lib/format'
import { byUrgency, failing, healthOf, healthOrder, serviceOf, shareClass, summaryOf } from '../lib/health'
import { endsNow, type Range, rangeEnd, rangeSeconds, rangeStart } from '../lib/range'
import { external, serviceOfPath, useHref, useParam, useRange } from '../lib/url'
import { useLive } from '../live/use-live'
import { edgeKey } from '../live/views'

/** Versions that were first seen in the last 30 days are shown. */
const deploymentsOf = '30d'

const noHealth: ServiceHealth[] = []

/** Of a service with several dimensions, the one that is worst. */
const worstOf = (list: ServiceHealth[]): ServiceHealth | undefined =>
  [...list].sort((a, b) => healthOrder[healthOf(a, undefined)] - healthOrder[healthOf(b, undefined)])[0]

export default function ServicePage() {
  const name = serviceOfPath(window.location.pathname)
  const [range] = useRange()
  const [op, setOp] = useParam('op')
  const live = useLive('services', { range, service: name })
  const judged = useLive('servicehealth', { range, service: name }).data?.services ?? noHealth
  const alerts = useLive('alerts').data?.alerts.filter((a) => serviceOf(a) === name) ?? []
  const operations = useOperations(name, range)
  const service = live.data?.services[0]
  const deployments = useDeployments(name, deploymentsOf, 20)
  const unknown = operations.error as ApiError | null
  const marks = useMemo(
    () =>
      deployments.data?.deployments.flatMap((d): Mark[] =>
        isChange(d) && d.first_seen ? [{ time: Date.parse(d.first_seen) / 1000, label: d.version }] : [],
      ) ?? [],
    [deployments.data],
  )
  return (
    <>
      <Head name={name} service={service} alerts={alerts} judged={worstOf(judged)} />
      {alerts.length > 0 && (
        <ul className="strip">
          {alerts.sort(byUrgency).map((a) => (
            <li key={a.fingerprint} className={`strip-${a.state}`}>
              <Status health={a.state} />
              <span className="strip-text">{summaryOf(a)}</span>
              <span className="strip-since">
                for <Since time={a.active_at} />
              </span>
            </li>
          ))}
        </ul>
      )}
      {unknown?.status === 404 ? (
        <Problem error={unknown} />
      ) : (
        <>
          <Charts name={name} op={op} range={range} marks={marks} clear={() => setOp('', false)} />
          <Operations query={operations} op={op} choose={(o) => setOp(o === op ? '' : o, false)} service={name} />
          <Neighbours name={name} range={range} />
          <CallsOf service={name} range={range} />
          <Deployments query={deployments} service={name} empty="No versions: the spans of this service have no service.version." />
        </>
      )}
    </>
  )
}

interface HeadProps {
  name: string
  service: Service | undefined
  alerts: Alert[]
  judged: ServiceHealth | undefined
}

function Head({ name, service, alerts, judged }: HeadProps) {
  const href = useHref()
  const links = useConfig().data?.links
  const e = service?.entry
  const red: [string, string, boolean?][] = [
    ['Rate /s', e ? rate(e.rate) : none],
    ['Errors %', e ? (e.calls === 0 ? none : percent(e.error_rate)) : none, !!e && failing(e.error_rate)],
    ['p50 ms', e ? millis(e.p50_ms) : none],
    ['p95 ms', e ? millis(e.p95_ms) : none],
    ['p99 ms', e ? millis(e.p99_ms) : none],
    ['Requests', e ? count(e.calls) : none],
  ]
  return (
    <>
      <PageHeader
        crumb={<Link href={href('/')}>Overview</Link>}
        title={<Name of={name} />}
        beside={
          <>
            <Status health={healthOf(judged, alerts)} />
            <span className="dim">
              {judged && judged.health !== 'ok' && `${judged.reason} · `}last seen <Ago time={service?.last_seen} />
            </span>
          </>
        }
        actions={
          <>
            <LinkButton href={href('/traces', { service: name })} icon={ChartNoAxesGantt}>
              Traces
            </LinkButton>
            <LinkButton href={href('/logs', { service: name })} icon={ScrollText}>
              Logs
            </LinkButton>
            <LinkButton href={href('/errors', { service: name })} icon={CircleAlert}>
              Errors
            </LinkButton>
          </>
        }
      />
      {links && Object.values(links).some(Boolean) && (
        <p className="links outside">
          <ExternalLink size={14} aria-hidden="true" />
          {links.jaeger && <a href={external(links.jaeger, '/search', { service: name })}>Traces in Jaeger</a>}
          {links.prometheus && (
            <a
              href={external(links.prometheus, '/graph', {
                'g0.expr': `sum by (span_name) (rate(traces_span_metrics_calls_total{service_name=${JSON.stringify(name)}}[1m]))`,
                'g0.tab': '0',
              })}
            >
              Series in Prometheus
            </a>
          )}
          {links.kibana && (
            <a href={`${links.kibana.replace(/\/$/, '')}/app/discover#/?_a=(query:(language:kuery,query:${kuery(name)}))`}>
              Logs in Kibana
            </a>
          )}
          {links.grafana && <a href={external(links.grafana, '/explore')}>Grafana</a>}
        </p>
      )}
      <dl className="totals">
        {red.map(([label, value, bad]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd className={bad ? 'bad' : undefined}>{value}</dd>
          </div>
        ))}
      </dl>
    </>
  )
}

/** A KQL condition as a string of Kibana's URL language, where ! escapes. */
function kuery(service: string): string {
  const text = `service.name : ${JSON.stringify(service)}`
  return encodeURIComponent(`'${text.replace(/[!']/g, (c) => `!${c}`)}'`)
}

function Charts({ name, op, range, marks, clear }: { name: string; op: string; range: Range; marks: Mark[]; clear: () => void }) {
  const metrics = useServiceMetrics(name, op, range)
  const charts = useMemo(() => (metrics.data ? chartsOf(metrics.data, range) : undefined), [metrics.data, range])
  const href = useHref()
  const alertOn = (chart: ChartKind) =>
    metrics.data && (
      <Link
        className="button small chart-action"
        href={href('/alerts/new', { chart, service: name, op, threshold: String(usualOf(chart, metrics.data)) })}
        aria-label={`Create alert from this chart: ${chart}`}
        title="Create alert from this chart"
      >
        <Bell aria-hidden="true" /> Create alert
      </Link>
    )
  return (
    <Section
      title="Over time"
      note={
        op === '' ? (
          `requests to the service${charts ? `, in steps of ${duration(charts.step * 1000)}` : ''}; select an operation below to narrow the charts`
        ) : (
          <Name of={op} />
        )
      }
      actions={op !== '' && <Button onClick={clear}>Show all operations</Button>}
    >
      {charts === undefined ? (
        <div className="charts charts-waiting">
          <Waiting what="points" error={metrics.error} />
        </div>
      ) : (
        <div className="charts">
          <Chart title="Rate" unit="spans/s" format={rate} {...charts} lines={charts.rate} marks={marks} action={alertOn('rate')} />
          <Chart
            title="Errors"
            unit="%"
            format={(v) => percent(v / 100)}
            {...charts}
            lines={charts.errors}
            marks={marks}
            action={alertOn('errors')}
          />
          <Chart title="Duration" unit="ms" format={millis} {...charts} lines={charts.latency} marks={marks} action={alertOn('duration')} />
        </div>
      )}
    </Section>
  )
}

export function chartsOf(m: ServiceMetrics, range: Range) {
  // A bucket is drawn at its end, the step under way is left out: it would always look like a fall.
  const upTo = m.meta.up_to ? Date.parse(m.meta.up_to) / 1000 : Number.POSITIVE_INFINITY
  const since = m.meta.since ? Date.parse(m.meta.since) / 1000 : 0
  // What was asked of the service, as its header says; an operation that is no entry, or a service without any, shows all spans.
  const entry = m.points.some((p) => p.entry.calls > 0)
  const shown = m.points.map((p) => (entry ? { ...p.entry, time: p.time } : p))
  const points = shown.filter((p) => Date.parse(p.time) / 1000 + m.step_s <= upTo && Date.parse(p.time) / 1000 + m.step_s > since)
  const times = points.map((p) => Date.parse(p.time) / 1000 + m.step_s)
  const last = times.at(-1) ?? (Number.isFinite(upTo) ? upTo : 0)
  const some = (v: (p: (typeof points)[number]) => number) => points.map((p) => (p.calls === 0 ? null : v(p)))
  const rateLines: Line[] = [{ label: 'rate', color: '--c-blue', values: points.map((p) => p.calls / m.step_s), fill: true }]
  const errors: Line[] = [{ label: 'errors', color: '--c-error', values: some((p) => (100 * p.errors) / p.calls), fill: true }]
  const latency: Line[] = [
    { label: 'p50', color: '--c-sky', values: some((p) => p.p50_ms) },
    { label: 'p95', color: '--c-orange', values: some((p) => p.p95_ms) },
    { label: 'p99', color: '--c-purple', values: some((p) => p.p99_ms), dash: [4, 3] },
  ]
  return {
    times,
    span: (endsNow(range) ? [last - rangeSeconds(range), last] : [rangeStart(range), rangeEnd(range)]) as [number, number],
    rate: rateLines,
    errors,
    latency,
    step: m.step_s,
  }
}

/** Operations that serve requests come before those that call others. */
const kindOrder = ['server', 'consumer', 'producer', 'client', 'internal', 'unspecified']

const operationKey = (o: Operation) => `${o.name}\0${o.kind}`

function Operations({
  query,
  op,
  choose,
  service,
}: {
  query: ReturnType<typeof useOperations>
  op: string
  choose: (op: string) => void
  service: string
}) {
  const href = useHref()
  const columns = useMemo<Column<Operation>[]>(
    () => [
      {
        id: 'operation',
        label: 'Operation',
        className: 'c-name',
        sort: (o) => o.name,
        cell: (o) => (
          <button type="button" className="name" data-row-link title="Show this operation in the charts" onClick={() => choose(o.name)}>
            <Name of={o.name} />
          </button>
        ),
      },
      {
        id: 'kind',
        label: 'Kind',
        wide: true,
        sort: (o) => kindOrder.indexOf(spanKind(o.kind)),
        cell: (o) => <span className="dim">{spanKind(o.kind)}</span>,
      },
      { id: 'rate', label: 'Rate', unit: '/s', numeric: true, sort: (o) => o.rate, cell: (o) => rate(o.rate) },
      {
        id: 'errors',
        label: 'Errors',
        unit: '%',
        numeric: true,
        sort: (o) => o.error_rate,
        cell: (o) => <span className={shareClass(o.error_rate)}>{percent(o.error_rate)}</span>,
      },
      { id: 'p50', label: 'p50', unit: 'ms', numeric: true, wide: true, sort: (o) => o.p50_ms, cell: (o) => millis(o.p50_ms) },
      { id: 'p95', label: 'p95', unit: 'ms', numeric: true, sort: (o) => o.p95_ms, cell: (o) => millis(o.p95_ms) },
      { id: 'p99', label: 'p99', unit: 'ms', numeric: true, wide: true, sort: (o) => o.p99_ms, cell: (o) => millis(o.p99_ms) },
      { id: 'calls', label: 'Calls', numeric: true, wide: true, sort: (o) => o.calls, cell: (o) => count(o.calls) },
      {
        id: 'traces',
        label: 'Traces',
        wide: true,
        cell: (o) => (
          <Link className="button small" href={href('/traces', { service, operation: o.name })} aria-label={`Traces with ${o.name}`}>
            Traces
          </Link>
        ),
      },
    ],
    [choose, href, service],
  )
  return (
    <Section title="Operations" note={query.data && `${query.data.total}`}>
      {query.data === undefined ? (
        <Waiting what="operations" error={query.error} />
      ) : (
        <Table
          label="Operations"
          rows={query.data.operations}
          columns={columns}
          rowKey={operationKey}
          sort="kind"
          param="ops"
          marked={(o) => o.name === op}
          empty="No spans in this range."
        />
      )}
    </Section>
  )
}

const upstreamColumns = [{ ...endColumn('client', 'Upstream', true), id: 'name' }, ...edgeNumbers]
const downstreamColumns = [{ ...endColumn('server', 'Downstream', true), id: 'name' }, ...edgeNumbers]

function Neighbours({ name, range }: { name: string; range: Range }) {
  const map = useLive('servicemap', { range, service: name })
  const edges = map.data?.edges
  const upstream = useMemo(() => edges?.filter((e) => e.server === name && e.server_type === 'service'), [edges, name])
  const downstream = useMemo(() => edges?.filter((e) => e.client === name && e.client_type === 'service'), [edges, name])
  return (
    <div className="columns">
      <Section title="Upstream" note="callers">
        {upstream === undefined ? (
          <Waiting what="edges" error={map.error} />
        ) : (
          <Table
            label="Upstream"
            rows={upstream}
            columns={upstreamColumns}
            rowKey={edgeKey}
            sort="-calls"
            param="up"
            empty="No incoming calls in this time range."
          />
        )}
      </Section>
      <Section title="Downstream" note="called services">
        {downstream === undefined ? (
          <Waiting what="edges" error={map.error} />
        ) : (
          <Table
            label="Downstream"
            rows={downstream}
            columns={downstreamColumns}
            rowKey={edgeKey}
            sort="-calls"
            param="down"
            empty="No outgoing calls in this time range."
          />
        )}
      </Section>
    </div>
  )
}
