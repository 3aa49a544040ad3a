import { Rocket } from 'lucide-react'
import { useEffect, useMemo, useRef } from 'react'
import { useLocation } from 'wouter'
import { useRates } from '../api/queries'
import type { Alert, Service } from '../api/types'
import { Ago, ServiceLink, Status, Waiting } from '../components/bits'
import { LinkButton } from '../components/button'
import { FilterBox } from '../components/filter'
import { Check } from '../components/form'
import { PageHeader } from '../components/page'
import { Spark } from '../components/spark'
import { type Column, Table } from '../components/table'
import { IncidentCard } from '../incident/card'
import { count, millis, none, percent, rate } from '../lib/format'
import { alertsByService, failing, type Health, healthOf, healthOrder, shareClass } from '../lib/health'
import { newestOf } from '../lib/range'
import { servicePath, useHref, useParam, useRange } from '../lib/url'
import { useLive } from '../live/use-live'
import { dimensionValues, serviceKey } from '../live/views'

interface ServiceRow {
  service: Service
  health: Health
  spark: (number | null)[] | undefined
}

/** A service without entry spans served no request: a dash, not a zero. */
const entry = (show: (r: Service['entry']) => string) => (r: ServiceRow) => (r.service.entry.calls === 0 ? none : show(r.service.entry))
const entryValue = (value: (r: Service['entry']) => number) => (r: ServiceRow) =>
  r.service.entry.calls === 0 ? -1 : value(r.service.entry)

const columns: Column<ServiceRow>[] = [
  {
    id: 'status',
    label: 'Status',
    className: 'c-status',
    sort: (r) => healthOrder[r.health],
    cell: (r) => <Status health={r.health} />,
  },
  {
    id: 'service',
    label: 'Service',
    className: 'c-name',
    sort: (r) => r.service.name,
    cell: (r) => (
      <>
        <ServiceLink name={r.service.name} row />
        {r.service.dimensions && <span className="dim"> {dimensionValues(r.service.dimensions)}</span>}
      </>
    ),
  },
  {
    id: 'rate',
    label: 'Rate',
    unit: '/s',
    title: 'Server and consumer spans per second over the range',
    numeric: true,
    sort: entryValue((e) => e.rate),
    cell: entry((e) => rate(e.rate)),
  },
  {
    id: 'trend',
    label: 'Trend',
    className: 'c-spark',
    wide: true,
    title: 'Rate over the time range, from zero to its maximum',
    cell: (r) => <Spark values={r.spark} label={`Rate of ${r.service.name} over the range`} />,
  },
  {
    id: 'errors',
    label: 'Errors',
    unit: '%',
    title: 'Share of server and consumer spans with status ERROR',
    numeric: true,
    sort: entryValue((e) => e.error_rate),
    cell: (r) =>
      r.service.entry.calls === 0 ? (
        none
      ) : (
        <span className={shareClass(r.service.entry.error_rate)}>{percent(r.service.entry.error_rate)}</span>
      ),
  },
  {
    id: 'p50',
    label: 'p50',
    unit: 'ms',
    numeric: true,
    wide: true,
    sort: entryValue((e) => e.p50_ms),
    cell: entry((e) => millis(e.p50_ms)),
  },
  { id: 'p95', label: 'p95', unit: 'ms', numeric: true, sort: entryValue((e) => e.p95_ms), cell: entry((e) => millis(e.p95_ms)) },
  {
    id: 'p99',
    label: 'p99',
    unit: 'ms',
    numeric: true,
    wide: true,
    sort: entryValue((e) => e.p99_ms),
    cell: entry((e) => millis(e.p99_ms)),
  },
  {
    id: 'seen',
    label: 'Last seen',
    numeric: true,
    wide: true,
    className: 'c-ago',
    sort: (r) => r.service.last_seen ?? '',
    cell: (r) => (
      <span className="dim">
        <Ago time={r.service.last_seen} />
      </span>
    ),
  },
]
const keyOf = (r: ServiceRow) => serviceKey(r.service)
const noAlerts: Alert[] = []

export function ServicesPage() {
  const [range] = useRange()
  const [filter, setFilter] = useParam('q')
  const [only, setOnly] = useParam('only')
  const [, navigate] = useLocation()
  const href = useHref()
  const live = useLive('services', { range })
  const alerts = useLive('alerts').data?.alerts ?? noAlerts
  const rates = useRates(range)
  const all = useRows(live.data?.services, alerts, rates.data, newestOf(range, live.data?.meta.up_to ?? null))
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
    return all.filter((r) => (only !== 'unhealthy' || r.health !== 'ok') && words.every((w) => r.service.name.toLowerCase().includes(w)))
  }, [all, filter, only])
  const open = useMemo(() => (r: ServiceRow) => navigate(href(servicePath(r.service.name))), [navigate, href])

  return (
    <>
      <PageHeader
        title="Overview"
        sentence="What is firing, and how each service is doing."
        actions={
          <LinkButton href={href('/deployments')} icon={Rocket}>
            Deployments
          </LinkButton>
        }
      />
      <IncidentCard />
      <Totals rows={all} alerts={alerts} />
      <div className="tools">
        <FilterBox value={filter} onChange={setFilter} label="Filter services" />
        <Check label="only unhealthy" checked={only === 'unhealthy'} onChange={(on) => setOnly(on ? 'unhealthy' : '')} />
        <span className="note">
          {live.data && (rows.length === all.length ? `${all.length} services` : `${rows.length} of ${all.length} services`)}
        </span>
      </div>
      {live.data === undefined ? (
        <Waiting what="services" error={live.error} />
      ) : (
        <Table
          label="Services"
          rows={rows}
          columns={columns}
          rowKey={keyOf}
          sort="status"
          onOpen={open}
          empty={all.length > 0 ? 'No service matches the filter.' : 'No spans in this range yet.'}
        />
      )}
    </>
  )
}

/** Rows keep their identity while nothing they show has changed. */
function useRows(
  services: Service[] | undefined,
  alerts: Alert[],
  sparks: Map<string, (number | null)[]> | undefined,
  upTo: string | null,
): ServiceRow[] {
  const kept = useRef(new Map<string, ServiceRow>())
  const rows = useMemo(() => {
    const byService = alertsByService(alerts)
    return (services ?? []).map((service) => {
      const health = healthOf(service, byService.get(service.name), upTo)
      const spark = sparks?.get(service.name)
      const old = kept.current.get(serviceKey(service))
      return old && old.service === service && old.health === health && old.spark === spark ? old : { service, health, spark }
    })
  }, [services, alerts, sparks, upTo])
  useEffect(() => {
    kept.current = new Map(rows.map((r) => [serviceKey(r.service), r]))
  }, [rows])
  return rows
}

function Totals({ rows, alerts }: { rows: ServiceRow[]; alerts: Alert[] }) {
  let perSecond = 0
  let calls = 0
  let errors = 0
  for (const { service: s } of rows) {
    perSecond += s.entry.rate
    calls += s.entry.calls
    errors += s.entry.errors
  }
  const firing = alerts.filter((a) => a.state === 'firing').length
  return (
    <dl className="totals">
      <div>
        <dt>Firing</dt>
        <dd className={firing > 0 ? 'bad' : undefined}>{firing}</dd>
      </div>
      <div>
        <dt>Pending</dt>
        <dd>{alerts.length - firing}</dd>
      </div>
      <div>
        <dt>Requests /s</dt>
        <dd>{rate(perSecond)}</dd>
      </div>
      <div>
        <dt>Errors %</dt>
        <dd className={calls > 0 && failing(errors / calls) ? 'bad' : undefined}>{calls === 0 ? none : percent(errors / calls)}</dd>
      </div>
      <div className="wide">
        <dt>Requests</dt>
        <dd>{count(calls)}</dd>
      </div>
    </dl>
  )
}
