import { memo } from 'react'
import { Link } from 'wouter'
import type { Alert, Delivery, EvidenceTrace, PathEdge, Why } from '../api/types'
import { Ago, Disclosure, Labels, ServiceLink, Status } from '../components/bits'
import { type Column, Table } from '../components/table'
import { sentenceOf } from '../explore/differences'
import { Differences } from '../explore/differences-table'
import { absolute, alertValue, clock, count, millis, none, percent, spanKind, took } from '../lib/format'
import { type Health, shareClass } from '../lib/health'
import { tracePath, useHref } from '../lib/url'
import { baselineText } from './baseline'
import { Candidates } from './candidates-table'
import { hadBaseline } from './cause'
import { plainDuration } from './draft'
import './alert.css'

const pathColumns: Column<PathEdge>[] = [
  {
    id: 'call',
    label: 'Call',
    className: 'c-call',
    cell: (e) =>
      e.client === '' ? (
        <>
          <span className="dim">all calls to</span> <ServiceLink name={e.server} />
        </>
      ) : (
        <>
          <ServiceLink name={e.client} /> <span aria-hidden="true">→</span>
          <span className="hidden"> calls</span>{' '}
          {e.connection_type === '' ? (
            <ServiceLink name={e.server} />
          ) : (
            <span className="name">
              {e.server} <span className="dim">{e.connection_type === 'virtual_node' ? 'not instrumented' : e.connection_type}</span>
            </span>
          )}
        </>
      ),
  },
  {
    id: 'score',
    label: 'Begins here',
    unit: '%',
    title: 'Share of the excess errors and latency that originates in this call rather than downstream',
    numeric: true,
    cell: (e) => (
      <span className="share">
        <span className="share-bar" aria-hidden="true">
          <span style={{ width: `${Math.min(100, Math.max(0, e.score * 100))}%` }} />
        </span>
        {percent(e.score)}
      </span>
    ),
  },
  {
    id: 'errors',
    label: 'Errors',
    unit: '%',
    numeric: true,
    cell: (e) => <span className={shareClass(e.error_rate)}>{percent(e.error_rate)}</span>,
  },
  {
    id: 'errors-before',
    label: 'before',
    unit: '%',
    numeric: true,
    cell: (e) => <span className="dim">{hadBaseline(e) ? percent(e.baseline_error_rate) : none}</span>,
  },
  { id: 'mean', label: 'Mean', unit: 'ms', numeric: true, cell: (e) => millis(e.mean_ms) },
  {
    id: 'mean-before',
    label: 'before',
    unit: 'ms',
    numeric: true,
    wide: true,
    cell: (e) => <span className="dim">{hadBaseline(e) ? millis(e.baseline_mean_ms) : none}</span>,
  },
  { id: 'calls', label: 'Calls', numeric: true, wide: true, cell: (e) => count(e.calls) },
  {
    id: 'version',
    label: 'New version',
    wide: true,
    cell: (e) => (e.new_versions.length > 0 ? <b>{e.new_versions.join(', ')}</b> : <span className="dim">{none}</span>),
  },
  { id: 'hops', label: 'Hops', title: 'How far below the service of the alert', numeric: true, wide: true, cell: (e) => e.hops },
]
const pathKey = (e: PathEdge) => JSON.stringify([e.client, e.server, e.connection_type])

type WhyOperation = Why['operations'][number]
const operationColumns: Column<WhyOperation>[] = [
  {
    id: 'operation',
    label: 'Operation',
    className: 'c-call',
    cell: (o) => (
      <>
        {o.name} <span className="dim">{spanKind(o.kind)}</span>
      </>
    ),
  },
  { id: 'calls', label: 'Calls', numeric: true, wide: true, cell: (o) => count(o.calls) },
  {
    id: 'errors',
    label: 'Errors',
    unit: '%',
    numeric: true,
    cell: (o) => <span className={shareClass(o.error_rate)}>{percent(o.error_rate)}</span>,
  },
  {
    id: 'errors-before',
    label: 'before',
    unit: '%',
    numeric: true,
    cell: (o) => <span className="dim">{o.baseline_p95_ms > 0 ? percent(o.baseline_error_rate) : none}</span>,
  },
  { id: 'p95', label: 'p95', unit: 'ms', numeric: true, cell: (o) => millis(o.p95_ms) },
  {
    id: 'p95-before',
    label: 'before',
    unit: 'ms',
    numeric: true,
    cell: (o) => <span className="dim">{o.baseline_p95_ms > 0 ? millis(o.baseline_p95_ms) : none}</span>,
  },
]
const operationKey = (o: WhyOperation) => JSON.stringify([o.name, o.kind])

/** Why an alert is there: what the condition was, what it saw, and where what is too much begins. */
export const WhyOf = memo(function WhyOf({ alert }: { alert: Alert }) {
  const { expr, for: holds, why, traces } = alert.evidence
  const of = `${alert.labels.alertname ?? 'alert'} ${why?.service ?? ''}`.trim()
  return (
    <div className="why">
      <code>{expr}</code>
      {holds !== '0s' && <p className="dim">has to hold for {plainDuration(holds)}</p>}
      {why === undefined ? (
        <p className="dim">
          {alert.state === 'pending'
            ? 'The other evidence is collected when the alert begins to fire.'
            : 'The time limit was reached before all evidence was collected.'}
        </p>
      ) : (
        <>
          <Operands why={why} />
          {why.path.length === 0 ? (
            <p className="dim">No call at or below this service is worse than before: {compared(why)}.</p>
          ) : (
            <>
              <h3>
                Where it begins <span className="dim">– {compared(why)}</span>
              </h3>
              <Table label={`Where ${of} begins`} rows={why.path} columns={pathColumns} rowKey={pathKey} sort="" empty="" />
            </>
          )}
          <Candidates why={why} label={`What may be at fault for ${of}`} />
          {why.differences && (
            <>
              <h3>
                What differs <span className="dim">– {sentenceOf(why.differences.list, why.differences.select)}</span>
              </h3>
              <Differences label={`What differs for ${of}`} list={why.differences.list} selected={why.differences.select} />
            </>
          )}
          {why.operations.length > 0 && (
            <>
              <h3>Worst operations</h3>
              <Table
                label={`Worst operations of ${of}`}
                rows={why.operations}
                columns={operationColumns}
                rowKey={operationKey}
                sort=""
                empty=""
              />
            </>
          )}
          <Found why={why} />
        </>
      )}
      <Traces traces={why && why.traces.length > 0 ? why.traces : traces} />
    </div>
  )
})

function compared(why: Why): string {
  return `${clock(why.from)} to ${clock(why.at)} against ${baselineText(why)}`
}

function Operands({ why }: { why: Why }) {
  if (why.operands.length === 0) return null
  return (
    <dl className="operands">
      {why.operands.map((o) => (
        <div key={o.expr}>
          <dt>
            <code>{o.expr}</code>
          </dt>
          <dd>
            {o.values.length === 0 && <span className="dim">no value</span>}
            {o.values.map((v) => (
              <span key={JSON.stringify(v.labels)}>
                <b>{alertValue(v.value)}</b> <Labels labels={v.labels} />
              </span>
            ))}
          </dd>
        </div>
      ))}
    </dl>
  )
}

/** What was first seen just before: versions, exceptions, log lines. What is not there is said in one line. */
function Found({ why }: { why: Why }) {
  const href = useHref()
  const nothing = [
    why.deployments.length === 0 && 'deployments',
    why.errors.length === 0 && 'exceptions',
    why.patterns.length === 0 && 'log patterns',
  ].filter((x) => x !== false)
  return (
    <>
      {why.deployments.length > 0 && (
        <>
          <h3>New versions just before</h3>
          <ul className="found">
            {why.deployments.map((d) => (
              <li key={d.service + d.version}>
                <ServiceLink name={d.service} /> <b>{d.version}</b>{' '}
                <span className="dim">
                  <Ago time={d.first_seen} />
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
      {why.errors.length > 0 && (
        <>
          <h3>New exceptions</h3>
          <ul className="found">
            {why.errors.map((e) => (
              <li key={JSON.stringify([e.service, e.operation, e.type, e.message])}>
                <span className="num">{count(e.count)}×</span>{' '}
                <Link href={href('/errors', { service: e.service, type: e.type })}>{e.type}</Link> <span>{e.message}</span>{' '}
                <span className="dim">
                  {e.service} {e.operation}, first seen <Ago time={e.first_seen} />
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
      {why.patterns.length > 0 && (
        <>
          <h3>New log patterns</h3>
          <ul className="found">
            {why.patterns.map((p) => (
              <li key={p.pattern}>
                <span className="num">{count(p.count)}×</span> <code title={p.sample}>{p.pattern}</code>{' '}
                <span className="dim">
                  {p.services.join(', ')}, first seen <Ago time={p.first_seen} />
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
      {nothing.length > 0 && <p className="dim">No new {nothing.join(', no new ')} in the time looked at.</p>}
      {why.missing.map((m) => (
        <p key={m}>
          <Status health="nodata" word={`not looked at: ${m}`} />
        </p>
      ))}
    </>
  )
}

function Traces({ traces }: { traces: readonly EvidenceTrace[] }) {
  const href = useHref()
  if (traces.length === 0) return null
  return (
    <>
      <h3>Traces</h3>
      <ul className="traces" aria-label="Traces from its last minutes">
        {traces.map((t) => (
          <li key={t.trace_id + t.span_id}>
            <Link href={href(tracePath(t.trace_id), { span: t.span_id })}>{t.trace_id.slice(0, 16)}</Link>
            <span>
              {t.service} {t.operation}
            </span>
            <span className={t.status === 'STATUS_CODE_ERROR' ? 'bad' : 'dim'}>{t.status.replace('STATUS_CODE_', '').toLowerCase()}</span>
            <span className="num">{took(t.duration_ms)}</span>
            <span className="dim">
              <Ago time={t.time} />
            </span>
          </li>
        ))}
      </ul>
    </>
  )
}

const deliveryHealth: Record<Delivery['state'], Health> = {
  sent: 'ok',
  grouped: 'pending',
  silenced: 'nodata',
  inhibited: 'nodata',
  muted: 'nodata',
}
const byWord: Record<Delivery['state'], string> = {
  sent: 'by',
  grouped: 'by',
  silenced: 'by silence',
  inhibited: 'by alert',
  muted: 'in time interval',
}

/** What became of an alert at each receiver. */
export function Deliveries({ deliveries }: { deliveries: readonly Delivery[] }) {
  if (deliveries.length === 0) return null
  return (
    <ul className="deliveries" aria-label="Notifications of this alert">
      {deliveries.map((d) => (
        <li key={`${d.receiver} ${d.integration} ${d.state}`}>
          <Status health={deliveryHealth[d.state]} word={d.state} />{' '}
          <span>
            {d.receiver}
            {d.integration !== '' && <span className="dim"> {d.integration}</span>}
          </span>{' '}
          {d.time && (
            <span className="dim">
              {d.state === 'grouped' ? (
                <time dateTime={d.time} title={absolute(d.time)}>
                  due {clock(d.time)}
                </time>
              ) : (
                <Ago time={d.time} />
              )}
            </span>
          )}{' '}
          {d.by.length > 0 && (
            <span className="dim">
              {byWord[d.state]} <code>{d.by.join(', ')}</code>
            </span>
          )}
        </li>
      ))}
    </ul>
  )
}

/** What is inside is made when it is opened. */
export function WhyDetails({ alert }: { alert: Alert }) {
  return (
    <Disclosure summary="Why" row={false}>
      {() => <WhyOf alert={alert} />}
    </Disclosure>
  )
}
