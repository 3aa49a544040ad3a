import { useMemo } from 'react'
import { Link, Redirect, useLocation } from 'wouter'
import type { IncidentHeader } from '../api/types'
import { Ago, Chip, MetaWarnings, Since, Status, Waiting } from '../components/bits'
import { FilterBox } from '../components/filter'
import { Pick } from '../components/form'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { incidentPath } from '../incident/lead'
import { useIncidents } from '../incident/queries'
import { duration } from '../lib/format'
import { useHref, useParam } from '../lib/url'
import { useLive } from '../live/use-live'

const states = [
  ['', 'open and resolved'],
  ['open', 'open'],
  ['resolved', 'resolved'],
] as const

const lasted = (h: IncidentHeader): number =>
  h.resolved_at === null ? Number.MAX_VALUE : Date.parse(h.resolved_at) - Date.parse(h.fired_at)

/** Incidents, the newest first. */
export default function IncidentsPage() {
  const [state, setState] = useParam('state')
  const [filter, setFilter] = useParam('q')
  const [, navigate] = useLocation()
  const href = useHref()
  const [receiver, setReceiver] = useParam('receiver')
  const alerts = useLive('alerts').data?.alerts
  const ofReceiver = useMemo(() => {
    if (receiver === '') return undefined
    const mine = alerts?.filter((a) => a.incident !== null && a.deliveries.some((d) => d.receiver === receiver))
    return mine && new Set(mine.map((a) => a.incident))
  }, [alerts, receiver])
  const list = useIncidents({ state: state || undefined, limit: 1000 })
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
    return list.data?.incidents.filter((h) => {
      if (receiver !== '' && !ofReceiver?.has(h.id)) return false
      const text = `${h.title} ${h.names.join(' ')} ${h.services.join(' ')} ${h.severity ?? ''}`.toLowerCase()
      return words.every((w) => text.includes(w))
    })
  }, [list.data, filter, receiver, ofReceiver])
  const columns = useMemo<Column<IncidentHeader>[]>(
    () => [
      {
        id: 'state',
        label: 'State',
        className: 'c-status',
        cell: (h) => <Status health={h.state === 'open' ? 'firing' : 'ok'} word={h.state} />,
      },
      {
        id: 'title',
        label: 'Incident',
        className: 'c-name',
        cell: (h) => (
          <Link href={href(incidentPath(h.id))} className="name" data-row-link>
            <bdi>{h.title}</bdi>
          </Link>
        ),
      },
      { id: 'names', label: 'Alerts', wide: true, cell: (h) => <span className="wrap">{h.names.join(', ')}</span> },
      { id: 'severity', label: 'Severity', wide: true, cell: (h) => h.severity ?? '' },
      {
        id: 'fired',
        label: 'Fired',
        numeric: true,
        wide: true,
        title: 'How often its alerts began to fire',
        sort: (h) => h.fired,
        cell: (h) => h.fired,
      },
      {
        id: 'ack',
        label: 'Acknowledged',
        wide: true,
        cell: (h) => (h.acknowledged ? <bdi>{h.acknowledged.by}</bdi> : <span className="dim">no</span>),
      },
      {
        id: 'lasted',
        label: 'Lasted',
        numeric: true,
        sort: lasted,
        cell: (h) => (h.resolved_at === null ? <Since time={h.fired_at} /> : duration(lasted(h))),
      },
      {
        id: 'began',
        label: 'Began',
        numeric: true,
        className: 'c-ago',
        sort: (h) => h.since,
        cell: (h) => (
          <span className="dim">
            <Ago time={h.since} />
          </span>
        ),
      },
    ],
    [href],
  )
  const only = ofReceiver?.size === 1 ? [...ofReceiver][0] : undefined
  if (only) return <Redirect to={href(incidentPath(only))} replace />
  return (
    <>
      <PageHeader title="Incidents" sentence="Alerts that fire for one reason, with the cause. Kept for 30 days after they resolve." />
      <MetaWarnings meta={list.data?.meta} />
      <div className="tools">
        <FilterBox value={filter} onChange={setFilter} label="Filter incidents" />
        {receiver !== '' && (
          <Chip label="Active alerts for the receiver" onClear={() => setReceiver('', false)}>
            <bdi>{receiver}</bdi>
          </Chip>
        )}
        <Pick label="State" hidden value={state} options={states} onChange={(v) => setState(v, false)} />
        <span className="note">
          {rows && list.data && (rows.length === list.data.total ? `${rows.length}` : `${rows.length} of ${list.data.total}`)}
        </span>
      </div>
      {rows === undefined ? (
        <Waiting what="incidents" error={list.error} />
      ) : (
        <Table
          label="Incidents"
          rows={rows}
          columns={columns}
          rowKey={(h) => h.id}
          sort="-began"
          onOpen={(h) => navigate(href(incidentPath(h.id)))}
          empty={filter || state ? 'No incident matches these filters.' : 'No alert has fired yet.'}
        />
      )}
    </>
  )
}
