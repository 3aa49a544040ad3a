import { Button, Menu } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { Check as CheckIcon, Columns3, Rocket } from 'lucide-react'
import { memo, Suspense, useEffect, useMemo, useRef, useState } from 'react'
import { Link, useLocation } from 'wouter'
import { useSLOs } from '../alert/slo-queries'
import { useDimensionList, useNewVersions, useTrends } from '../api/queries'
import type { Alert } from '../api/types'
import { Waiting } from '../components/bits'
import { LinkButton } from '../components/button'
import { FilterBox } from '../components/filter'
import { Check, Pick } from '../components/form'
import { PageHeader } from '../components/page'
import { IncidentCard } from '../incident/card'
import { none, percent, rate } from '../lib/format'
import { alertsByService, failing } from '../lib/health'
import { lazyPage } from '../lib/lazy'
import { servicePath, useHref, useParam, useRange } from '../lib/url'
import { useLive } from '../live/use-live'
import { useOnboarding } from '../onboarding/queries'
import { chosenColumns, columns, toggled } from '../services/columns'
import { useHold } from '../services/hold'
import {
  type Around,
  grouped,
  leastBudgets,
  narrowRows,
  newestDeployments,
  Order,
  rowsOf,
  type ServiceRow,
  totalsOf,
} from '../services/rows'
import { ServicesTable } from '../services/table'

const Onboarding = lazyPage<{ onDone: () => void }>(async () => ({ default: (await import('../onboarding/onboarding')).Onboarding }))

const noAlerts: Alert[] = []

/** The first page. Without data it shows how to send some, until all signals have arrived or the reader opens the overview. */
export function FirstPage() {
  const [range] = useRange()
  const none = useLive('servicehealth', { range }).data?.services.length === 0
  const { data } = useOnboarding(none)
  const [left, setLeft] = useState(false)
  const [began, setBegan] = useState(false)
  if (!began && !left && none && data?.topics.every((t) => t.received === 0)) setBegan(true)
  if (!began) return <ServicesPage />
  return (
    <Suspense>
      <Onboarding
        onDone={() => {
          setBegan(false)
          setLeft(true)
        }}
      />
    </Suspense>
  )
}

export function ServicesPage() {
  const [range] = useRange()
  const [filter, setFilter] = useParam('q')
  const [only, setOnly] = useParam('only')
  const [sort, setSort] = useParam('sort', 'health')
  const [group, setGroup] = useParam('group')
  const [cols, setCols] = useParam('cols')
  const [, navigate] = useLocation()
  const href = useHref()
  const live = useLive('servicehealth', { range })
  const alerts = useLive('alerts').data?.alerts ?? noAlerts
  const around = useAround()
  const all = useRows(live.data?.services, alerts, useTrends(range).data, around)
  const order = useRef(new Order())
  const hold = useHold()
  const shown = useMemo(() => {
    const now = Date.now()
    const narrowed = narrowRows(all, { words: filter, onlyUnhealthy: only === 'unhealthy' })
    const rows = order.current.sort(narrowed, sort, now, hold.held(now))
    return { count: rows.length, rows: group === '' ? rows : grouped(rows, group) }
  }, [all, filter, only, sort, group, hold])
  const narrow = useMediaQuery('(max-width: 1320px)', undefined, { getInitialValueInEffect: false })
  const picked = useMemo(() => chosenColumns(cols, narrow), [cols, narrow])
  const totals = useMemo(() => totalsOf(all), [all])
  const open = useMemo(() => (r: ServiceRow) => navigate(href(servicePath(r.service.name))), [navigate, href])

  return (
    <>
      <Head />
      <IncidentCard unhealthy={live.data === undefined ? undefined : totals.unhealthy} />
      <dl className="totals">
        <div>
          <dt>Unhealthy services</dt>
          <dd className={totals.unhealthy > 0 ? 'bad' : undefined}>
            {totals.unhealthy} <small>of {all.length}</small>
          </dd>
        </div>
        <div>
          <dt>Firing alerts</dt>
          <dd>{alerts.filter((a) => a.state === 'firing').length}</dd>
        </div>
        <div>
          <dt>Requests /s</dt>
          <dd>{rate(totals.rate)}</dd>
        </div>
        <div>
          <dt>Failed %</dt>
          <dd className={totals.rate > 0 && failing(totals.failed / totals.rate) ? 'bad' : undefined}>
            {totals.rate === 0 ? none : percent(totals.failed / totals.rate)}
          </dd>
        </div>
        <div>
          <dt>Slower than usual</dt>
          <dd>{totals.counts.slower ?? 0}</dd>
        </div>
        <Budgets />
      </dl>
      <div className="services-tools">
        <Narrowing filter={filter} setFilter={setFilter} only={only} setOnly={setOnly} />
        <span className="note">
          {live.data && (shown.count === all.length ? `${all.length} services` : `${shown.count} of ${all.length} services`)}
          {live.data && live.data.baseline === null && ', no baseline yet'}
        </span>
        <GroupBy value={group} onChange={setGroup} />
        <ColumnChooser cols={cols} onChange={setCols} />
      </div>
      {live.data === undefined ? (
        <div className="services-wait">
          <Waiting what="services" error={live.error} />
        </div>
      ) : shown.count === 0 ? (
        <p className="quiet">
          {all.length > 0 ? (
            'No service matches the filter.'
          ) : (
            <>
              No spans in this range yet. <Link href={href('/onboarding')}>Connect a Collector</Link>
            </>
          )}
        </p>
      ) : (
        <div {...hold.handlers}>
          <ServicesTable rows={shown.rows} columns={picked} sort={sort} onSort={setSort} group={group} onOpen={open} />
        </div>
      )}
    </>
  )
}

interface NarrowingProps {
  filter: string
  setFilter: (v: string) => void
  only: string
  setOnly: (v: string) => void
}

const Narrowing = memo(function Narrowing({ filter, setFilter, only, setOnly }: NarrowingProps) {
  return (
    <>
      <FilterBox value={filter} onChange={setFilter} label="Filter services" />
      <Check label="only unhealthy" checked={only === 'unhealthy'} onChange={(on) => setOnly(on ? 'unhealthy' : '')} />
    </>
  )
})

// The parts that do not change with each update are drawn apart from those that do.
const Head = memo(function Head() {
  const href = useHref()
  return (
    <PageHeader
      title="Overview"
      sentence="What is firing, and how each service is doing."
      actions={
        <LinkButton href={href('/deployments')} icon={Rocket}>
          Deployments
        </LinkButton>
      }
    />
  )
})

/** How many objectives have little of their error budget left. */
function Budgets() {
  const slos = useSLOs().data?.slos ?? []
  const atRisk = slos.filter((s) => s.status.budget_remaining !== null && s.status.budget_remaining < 0.1).length
  return (
    <div className="wide">
      <dt>SLO budget at risk</dt>
      <dd className={atRisk > 0 ? 'bad' : undefined}>
        {slos.length === 0 ? none : atRisk} {slos.length > 0 && <small>of {slos.length}</small>}
      </dd>
    </div>
  )
}

function useAround(): Around {
  const versions = useNewVersions().data?.deployments
  const slos = useSLOs().data?.slos
  return useMemo(() => ({ deployed: newestDeployments(versions ?? []), budgets: leastBudgets(slos ?? []) }), [versions, slos])
}

function useRows(
  services: Parameters<typeof rowsOf>[0] | undefined,
  alerts: Alert[],
  trends: Parameters<typeof rowsOf>[2],
  around: Around,
): readonly ServiceRow[] {
  const kept = useRef(new Map<string, ServiceRow>())
  const byService = useMemo(() => alertsByService(alerts), [alerts])
  const rows = useMemo(() => rowsOf(services ?? [], byService, trends, kept.current, around), [services, byService, trends, around])
  useEffect(() => {
    kept.current = new Map(rows.map((r) => [r.key, r]))
  }, [rows])
  return rows
}

const shortName = (name: string): string => name.replace(/^(deployment|service)\./, '').replace(/\.name$/, '')

/** Groups the services by a dimension. Without dimensions there is nothing to choose. */
const GroupBy = memo(function GroupBy({ value, onChange }: { value: string; onChange: (v: string) => void }) {
  const list = useDimensionList().data?.dimensions.filter((d) => d.values.length > 0) ?? []
  if (list.length === 0) return null
  const options: [string, string][] = [['', 'No groups'], ...list.map((d): [string, string] => [d.name, `Group by ${shortName(d.name)}`])]
  return <Pick label="Group by" hidden value={value} options={options} onChange={onChange} />
})

const ColumnChooser = memo(function ColumnChooser({ cols, onChange }: { cols: string; onChange: (v: string) => void }) {
  const shown = new Set(chosenColumns(cols).map((c) => c.id))
  return (
    <Menu closeOnItemClick={false} position="bottom-end" transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <Button variant="default" leftSection={<Columns3 size={14} aria-hidden="true" />}>
          Columns
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {columns
          .filter((c) => !c.fixed)
          .map((c) => (
            <Menu.Item
              key={c.id}
              aria-label={`${shown.has(c.id) ? 'Hide' : 'Show'} ${c.label}`}
              leftSection={<CheckIcon size={14} aria-hidden="true" visibility={shown.has(c.id) ? 'visible' : 'hidden'} />}
              onClick={() => onChange(toggled(cols, c.id))}
            >
              {c.label}
            </Menu.Item>
          ))}
      </Menu.Dropdown>
    </Menu>
  )
})
