import { useMemo } from 'react'
import { useDatabases, type useDeployments, useExternal, useMessaging } from '../api/queries'
import type { DatabaseCall, Deployment, ExternalCall, MessagingClient, MessagingEdge, RED } from '../api/types'
import { count, exact, millis, none, percent, rate } from '../lib/format'
import { failing, shareClass } from '../lib/health'
import type { Range } from '../lib/range'
import { verdictOf } from '../lib/verdict'
import { Ago, MetaWarnings, Section, ServiceLink, Waiting } from './bits'
import { Name } from './name'
import { type Column, Table } from './table'

interface Called {
  calls: number
  rate: number
  error_rate: number
  p95_ms: number
}

/** Everything that is called has rate, failures and latency. */
const numbers: Column<Called>[] = [
  { id: 'rate', label: 'Rate', unit: '/s', numeric: true, sort: (c) => c.rate, cell: (c) => rate(c.rate) },
  {
    id: 'errors',
    label: 'Errors',
    unit: '%',
    numeric: true,
    sort: (c) => c.error_rate,
    cell: (c) => <span className={shareClass(c.error_rate)}>{percent(c.error_rate)}</span>,
  },
  { id: 'p95', label: 'p95', unit: 'ms', numeric: true, sort: (c) => c.p95_ms, cell: (c) => millis(c.p95_ms) },
  {
    id: 'calls',
    label: 'Calls',
    numeric: true,
    wide: true,
    sort: (c) => c.calls,
    cell: (c) => <span title={exact(c.calls)}>{count(c.calls)}</span>,
  },
]

const databaseColumns: Column<DatabaseCall>[] = [
  {
    id: 'database',
    label: 'Database',
    className: 'c-name',
    sort: (d) => `${d.system} ${d.namespace}`,
    cell: (d) => (
      <span className="name" tabIndex={-1} data-row-link title={`${d.system} ${d.namespace}`}>
        {d.system} <span className="dim">{d.namespace}</span>
      </span>
    ),
  },
  {
    id: 'operation',
    label: 'Operation',
    className: 'c-service',
    sort: (d) => `${d.operation} ${d.collection}`,
    cell: (d) => (
      <span className="name" title={`${d.operation} ${d.collection}`}>
        <Name of={d.operation || none} />{' '}
        <span className="dim">
          <Name of={d.collection} />
        </span>
      </span>
    ),
  },
  ...numbers,
]
const databaseKey = (d: DatabaseCall) => JSON.stringify([d.service, d.system, d.namespace, d.operation, d.collection])

const clientColumns: Column<MessagingClient>[] = [
  {
    id: 'destination',
    label: 'Destination',
    className: 'c-name',
    sort: (m) => m.destination,
    cell: (m) => (
      <span className="name" tabIndex={-1} data-row-link title={`${m.system} ${m.destination}`}>
        <Name of={m.destination} /> <span className="dim">{m.system}</span>
      </span>
    ),
  },
  { id: 'kind', label: 'As', className: 'c-service', sort: (m) => m.kind, cell: (m) => <span className="dim">{m.kind}</span> },
  ...numbers,
]
const clientKey = (m: MessagingClient) => JSON.stringify([m.service, m.system, m.destination, m.kind])

const messageColumns: Column<MessagingEdge>[] = [
  { id: 'producer', label: 'Producer', className: 'c-end', sort: (e) => e.producer, cell: (e) => <ServiceLink name={e.producer} row /> },
  { id: 'consumer', label: 'Consumer', className: 'c-end', sort: (e) => e.consumer, cell: (e) => <ServiceLink name={e.consumer} /> },
  { id: 'messages', label: 'Messages', numeric: true, sort: (e) => e.messages, cell: (e) => count(e.messages) },
  {
    id: 'failed',
    label: 'Failed',
    unit: '%',
    numeric: true,
    sort: (e) => (e.messages ? e.failed / e.messages : 0),
    cell: (e) => (e.messages === 0 ? none : <span className={shareClass(e.failed / e.messages)}>{percent(e.failed / e.messages)}</span>),
  },
  {
    id: 'wait',
    label: 'Waited p95',
    unit: 'ms',
    title: 'From the end of the producer span to the start of the consumer span',
    numeric: true,
    sort: (e) => e.latency_p95_ms,
    cell: (e) => millis(e.latency_p95_ms),
  },
]
const messageKey = (e: MessagingEdge) => JSON.stringify([e.producer, e.consumer])

const externalColumns: Column<ExternalCall>[] = [
  {
    id: 'target',
    label: 'Target',
    className: 'c-name',
    sort: (e) => e.target,
    cell: (e) => (
      <span className="name" tabIndex={-1} data-row-link title={e.target}>
        <Name of={e.target} />
      </span>
    ),
  },
  ...numbers,
]
const externalKey = (e: ExternalCall) => JSON.stringify([e.service, e.target])

/** What a service calls that is no service; sections without anything are left out. */
export function CallsOf({ service, range }: { service: string; range: Range }) {
  const databases = useDatabases(service, range).data?.databases
  const messaging = useMessaging(service, range).data
  const external = useExternal(service, range).data?.external
  return (
    <div className="columns">
      {databases && databases.length > 0 && (
        <Section title="Database calls" note={`${databases.length}`}>
          <Table
            label="Database calls"
            rows={databases}
            columns={databaseColumns}
            rowKey={databaseKey}
            sort="-calls"
            param="dbs"
            empty=""
          />
        </Section>
      )}
      {external && external.length > 0 && (
        <Section title="External calls" note="systems that send no spans">
          <Table label="External calls" rows={external} columns={externalColumns} rowKey={externalKey} sort="-calls" param="xs" empty="" />
        </Section>
      )}
      {messaging && messaging.clients.length > 0 && (
        <Section title="Messaging" note="messages sent and received">
          <Table
            label="Messaging"
            rows={messaging.clients}
            columns={clientColumns}
            rowKey={clientKey}
            sort="destination"
            param="ms"
            empty=""
          />
        </Section>
      )}
      {messaging && messaging.edges.length > 0 && (
        <Section title="Messages" note="from producer to consumer">
          <Table
            label="Messages"
            rows={messaging.edges}
            columns={messageColumns}
            rowKey={messageKey}
            sort="-messages"
            param="es"
            empty=""
          />
        </Section>
      )}
    </div>
  )
}

/** The version that was there when counting began has nothing before it. */
export const isChange = (d: Deployment): boolean => d.before.calls > 0

function Shift({ deployment: d, show, bad }: { deployment: Deployment; show: (r: RED) => string; bad?: boolean }) {
  return (
    <span className={bad ? 'bad' : undefined}>
      <span className={bad ? undefined : 'dim'}>{isChange(d) ? show(d.before) : none}</span>
      <span className="hidden"> to </span>
      <span aria-hidden="true"> → </span>
      {d.after.calls > 0 ? show(d.after) : none}
    </span>
  )
}

/** Failures after it that were not there before. */
const failsMore = (d: Deployment): boolean => isChange(d) && failing(d.after.error_rate) && d.after.error_rate > 2 * d.before.error_rate

const deploymentColumns: Column<Deployment>[] = [
  {
    id: 'service',
    label: 'Service',
    className: 'c-end',
    sort: (d) => d.service,
    cell: (d) => <ServiceLink name={d.service} row />,
  },
  {
    id: 'version',
    label: 'Version',
    className: 'c-version',
    sort: (d) => d.version,
    cell: (d) => (
      <span className="name" title={isChange(d) ? d.version : `${d.version}, which was there when counting began`}>
        {d.version || '(none)'}
      </span>
    ),
  },
  {
    id: 'first',
    label: 'First seen',
    numeric: true,
    className: 'c-ago',
    sort: (d) => d.first_seen ?? '',
    cell: (d) => <Ago time={d.first_seen} />,
  },
  {
    id: 'rate',
    label: 'Rate',
    unit: '/s',
    title: 'Of the whole service, in the 15 min before and after',
    numeric: true,
    wide: true,
    sort: (d) => d.after.rate,
    cell: (d) => <Shift deployment={d} show={(r) => rate(r.rate)} />,
  },
  {
    id: 'errors',
    label: 'Errors',
    unit: '%',
    title: 'Of the whole service, in the 15 min before and after',
    numeric: true,
    sort: (d) => d.after.error_rate - d.before.error_rate,
    cell: (d) => <Shift deployment={d} show={(r) => percent(r.error_rate)} bad={failsMore(d)} />,
  },
  {
    id: 'p95',
    label: 'p95',
    unit: 'ms',
    title: 'Of the whole service, in the 15 min before and after',
    numeric: true,
    wide: true,
    sort: (d) => d.after.p95_ms - d.before.p95_ms,
    cell: (d) => <Shift deployment={d} show={(r) => millis(r.p95_ms)} />,
  },
  {
    id: 'verdict',
    label: 'Verdict',
    title: 'Calls of the 10 or 30 min after the first span, compared with the 30 min before it',
    sort: (d) => verdictOf(d).word,
    cell: (d) => <Verdict deployment={d} />,
  },
  {
    id: 'calls',
    label: 'Spans',
    title: 'Spans of this version, over all time',
    numeric: true,
    wide: true,
    sort: (d) => d.calls,
    cell: (d) => <span title={exact(d.calls)}>{count(d.calls)}</span>,
  },
  {
    id: 'last',
    label: 'Last seen',
    numeric: true,
    wide: true,
    className: 'c-ago',
    sort: (d) => d.last_seen ?? '',
    cell: (d) => (
      <span className="dim">
        <Ago time={d.last_seen} />
      </span>
    ),
  },
]
function Verdict({ deployment }: { deployment: Deployment }) {
  const { word, title, bad } = verdictOf(deployment)
  return (
    <span className={bad ? 'bad' : 'dim'} title={title}>
      {word}
    </span>
  )
}

const deploymentKey = (d: Deployment) => JSON.stringify([d.service, d.version])

export function Deployments({ query, service, empty }: { query: ReturnType<typeof useDeployments>; service?: string; empty: string }) {
  const columns = useMemo(() => (service === undefined ? deploymentColumns : deploymentColumns.slice(1)), [service])
  const data = query.data
  return (
    <Section title="Deployments" note="each version, and the whole service before and after it was first seen">
      <MetaWarnings meta={data?.meta} />
      {data === undefined ? (
        <Waiting what="deployments" error={query.error} />
      ) : (
        <Table
          label="Deployments"
          rows={data.deployments}
          columns={columns}
          rowKey={deploymentKey}
          sort="-first"
          param="vs"
          empty={empty}
        />
      )}
    </Section>
  )
}
