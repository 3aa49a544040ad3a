import { useMemo } from 'react'
import { useNotifications, useReceivers, useReceiverTest } from '../api/queries'
import type { Alertmanager, Notification, NotificationList, Receiver, ReceiverTest } from '../api/types'
import { Ago, Chip, Disclosure, Labels, Problem, Section, Status, Waiting } from '../components/bits'
import { Growing } from '../components/growing'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import { count, exact, took } from '../lib/format'
import { useParam } from '../lib/url'

/** accepted, will be tried again, or given up: in this order of comfort. */
function Result({ of: n }: { of: Pick<Notification, 'error' | 'retry'> }) {
  if (n.error === null) return <Status health="ok" word="accepted" />
  return <Status health={n.retry ? 'pending' : 'firing'} word={n.retry ? 'failed, tried again' : 'failed'} />
}

export function alertsOf(n: Pick<Notification, 'firing' | 'resolved'>): string {
  const said = [n.firing.length > 0 && `${n.firing.length} firing`, n.resolved.length > 0 && `${n.resolved.length} resolved`]
  return said.filter(Boolean).join(', ') || 'none'
}

const columns: Column<Notification>[] = [
  { id: 'time', label: 'When', className: 'c-ago', cell: (n) => <Ago time={n.time} /> },
  {
    id: 'result',
    label: 'Result',
    className: 'c-result',
    cell: (n) => (
      <>
        <Result of={n} />
        {n.error !== null && <span className="dim said-why"> {n.error}</span>}
      </>
    ),
  },
  {
    id: 'receiver',
    label: 'Receiver',
    cell: (n) => (
      <>
        {n.receiver} <span className="dim wide-inline">{n.integration}</span>
      </>
    ),
  },
  {
    id: 'alerts',
    label: 'Alerts',
    className: 'c-name',
    cell: (n) => (
      <Disclosure summary={alertsOf(n)}>
        {() => (
          <ul className="detail">
            {n.firing.map((l) => (
              <li key={JSON.stringify(l)}>
                <Status health="firing" /> <Labels labels={l} />
              </li>
            ))}
            {n.resolved.map((l) => (
              <li key={JSON.stringify(l)}>
                <Status health="ok" word="resolved" /> <Labels labels={l} />
              </li>
            ))}
            {n.group_key !== '' && (
              <li className="dim">
                group <code>{n.group_key}</code>
              </li>
            )}
          </ul>
        )}
      </Disclosure>
    ),
  },
  { id: 'reason', label: 'Reason', wide: true, cell: (n) => <span className="dim">{n.reason}</span> },
  { id: 'attempt', label: 'Attempt', numeric: true, wide: true, cell: (n) => n.attempt },
  { id: 'took', label: 'Took', numeric: true, wide: true, cell: (n) => took(n.duration_ms) },
]
const noticesOf = (page: NotificationList) => page.notifications
const keyOf = (n: Notification) => `${n.time} ${n.receiver} ${n.integration} ${n.attempt} ${n.group_key}`

export function Notifications() {
  const [receiver, setReceiver] = useParam('receiver')
  const list = useNotifications(receiver)
  return (
    <Section title="Notifications" note={list.data && `${list.data.pages[0]?.total ?? 0}, newest first`}>
      {receiver !== '' && (
        <div className="tools">
          <Chip label="receiver" onClear={() => setReceiver('')}>
            {receiver}
          </Chip>
        </div>
      )}
      <Growing
        label="Notifications"
        what="notifications"
        list={list}
        rowsOf={noticesOf}
        columns={columns}
        rowKey={keyOf}
        empty="No notifications have been sent."
      />
    </Section>
  )
}

/** What became of a test, in one line. */
function TestResult({ result }: { result: ReceiverTest }) {
  return (
    <div role="status" aria-label="Result of the test">
      <ul>
        {result.results.map((n) => (
          <li key={n.integration}>
            <Result of={n} /> <span>{n.integration}</span> <span className="dim">in {took(n.duration_ms)}</span>
            {n.error !== null && <span className="dim"> {n.error}</span>}
          </li>
        ))}
      </ul>
    </div>
  )
}

export function Receivers() {
  const list = useReceivers()
  const test = useReceiverTest()
  const [, setReceiver] = useParam('receiver')
  const { mutate, isPending, variables, data, error } = test
  const reason = useDenied('editor')
  const cols = useMemo<Column<Receiver>[]>(
    () => [
      {
        id: 'name',
        label: 'Receiver',
        className: 'c-name',
        cell: (r) => (
          <button type="button" className="name" data-row-link title="Show its notifications" onClick={() => setReceiver(r.name)}>
            {r.name}
          </button>
        ),
      },
      {
        id: 'integrations',
        label: 'Sends to',
        wide: true,
        cell: (r) => r.integrations.map((i) => i.name).join(', ') || <span className="dim">none</span>,
      },
      { id: 'used', label: 'Routed', wide: true, cell: (r) => (r.used ? 'yes' : <span className="dim">no route uses it</span>) },
      {
        id: 'last',
        label: 'Last',
        cell: (r) =>
          r.integrations.some((i) => i.last) ? (
            r.integrations.map(
              (i) =>
                i.last && (
                  <div key={i.name} title={i.last.error ?? undefined}>
                    <Result of={i.last} />{' '}
                    <span className="dim">
                      <Ago time={i.last.time} />
                    </span>
                  </div>
                ),
            )
          ) : (
            <span className="dim">nothing sent yet</span>
          ),
      },
      {
        id: 'test',
        label: 'Test',
        cell: (r) => (
          <>
            <button
              type="button"
              className="plain"
              aria-label={`Send test to ${r.name}`}
              disabled={isPending || r.integrations.length === 0 || reason !== undefined}
              title={reason}
              onClick={() => mutate(r.name)}
            >
              {isPending && variables === r.name ? 'Sending …' : 'Send test'}
            </button>
            {variables === r.name && data && <TestResult result={data} />}
            {variables === r.name && error && <Problem error={error} />}
          </>
        ),
      },
    ],
    [mutate, isPending, variables, data, error, reason, setReceiver],
  )
  return (
    <Section title="Receivers" note="of the active Alertmanager configuration">
      {list.data === undefined ? (
        <Waiting what="receivers" error={list.error} />
      ) : (
        <Table
          label="Receivers"
          rows={list.data.receivers}
          columns={cols}
          rowKey={(r) => r.name}
          sort=""
          empty="No receivers are configured."
        />
      )}
    </Section>
  )
}

/** How it went to send alerts to it: in this order of comfort. */
const standings = {
  accepting: <Status health="ok" word="accepting" />,
  unknown: <Status health="nodata" word="nothing sent yet" />,
  failing: <Status health="firing" word="failing" />,
}

const counted = (n: number) => <span title={exact(n)}>{count(n)}</span>

const elsewhere: Column<Alertmanager>[] = [
  { id: 'url', label: 'URL', className: 'c-url', cell: (a) => <span title={a.url}>{a.url.replace(/\/api\/v2\/alerts$/, '')}</span> },
  {
    id: 'state',
    label: 'State',
    className: 'c-words',
    cell: (a) => (
      <>
        {standings[a.state]}{' '}
        {a.state === 'accepting' && (
          <span className="dim">
            <Ago time={a.last_success} />
          </span>
        )}
        {a.last_failure !== undefined && (
          <div className="dim">
            {a.state === 'failing' ? 'Last error' : 'Earlier error'} <Ago time={a.last_failure} />: {a.error}
          </div>
        )}
        <div className="dim narrow-line">
          {count(a.sent)} sent, {count(a.dropped)} dropped, {count(a.pending)} pending
        </div>
      </>
    ),
  },
  {
    id: 'sent',
    label: 'Sent',
    title: 'Alerts accepted; a firing alert is sent every minute',
    numeric: true,
    wide: true,
    cell: (a) => counted(a.sent),
  },
  {
    id: 'dropped',
    label: 'Dropped',
    title: 'Alerts not accepted, or left out of a full queue; they are sent again',
    numeric: true,
    wide: true,
    cell: (a) => counted(a.dropped),
  },
  { id: 'pending', label: 'Pending', title: 'Alerts in the queue', numeric: true, wide: true, cell: (a) => counted(a.pending) },
]

/** The Alertmanagers external Alertmanagers, where there are any. */
export function Alertmanagers() {
  const list = useReceivers().data?.alertmanagers ?? []
  if (list.length === 0) return null
  return (
    <Section title="Alertmanagers" note="external Alertmanagers">
      <Table label="Alertmanagers" rows={list} columns={elsewhere} rowKey={(a) => a.url} sort="" empty="" />
    </Section>
  )
}
