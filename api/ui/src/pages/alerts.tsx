import { Button } from '@mantine/core'
import { useMemo, useState } from 'react'
import { causeOf } from '../alert/cause'
import { Alertmanagers, Notifications, Receivers } from '../alert/notifications'
import { Rules } from '../alert/rules'
import { SilenceDetails, Silences } from '../alert/silence'
import { Deliveries, WhyDetails } from '../alert/why'
import { useAlertHistory } from '../api/queries'
import type { Alert, Transition } from '../api/types'
import { Ago, Labels, Section, ServiceLink, Since, Status, Waiting } from '../components/bits'
import { FilterBox } from '../components/filter'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { alertValue } from '../lib/format'
import { byUrgency, serviceOf, summaryOf } from '../lib/health'
import { useParam } from '../lib/url'
import { useLive } from '../live/use-live'
import '../alert/alert.css'

const named = ['alertname']

const historyColumns: Column<Transition & { key: string }>[] = [
  {
    id: 'time',
    label: 'When',
    className: 'c-ago',
    sort: (t) => t.time,
    cell: (t) => <Ago time={t.time} />,
  },
  {
    id: 'change',
    label: 'Change',
    className: 'c-change',
    sort: (t) => t.to,
    cell: (t) => (
      <>
        <span className="dim">{t.from === '' ? 'new' : t.from} →</span>{' '}
        <Status health={t.to === 'firing' || t.to === 'pending' ? t.to : 'ok'} word={t.to} />
      </>
    ),
  },
  {
    id: 'alert',
    label: 'Alert',
    className: 'c-name',
    sort: (t) => t.labels.alertname ?? '',
    cell: (t) => <span className="name">{t.labels.alertname}</span>,
  },
  { id: 'labels', label: 'Labels', wide: true, cell: (t) => <Labels labels={t.labels} without={named} /> },
  { id: 'value', label: 'Value', numeric: true, cell: (t) => alertValue(t.value) },
]
const historyKey = (t: { key: string }) => t.key

const fewChanges = 15
const manyChanges = 1000

export default function AlertsPage() {
  const live = useLive('alerts')
  const [changesShown, setChangesShown] = useState(fewChanges)
  const history = useAlertHistory(changesShown)
  const [filter, setFilter] = useParam('q')
  const [receiver, setReceiver] = useParam('receiver')
  const [ruleIDs, setRuleIDs] = useParam('rule')
  const rules = useMemo(() => ruleIDs.split(',').filter(Boolean), [ruleIDs])
  const matches = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
    return (text: string) => words.every((w) => text.toLowerCase().includes(w))
  }, [filter])
  const active = useMemo(
    () =>
      live.data?.alerts
        .filter((a) => rules.length === 0 || rules.includes(a.rule_id))
        .filter((a) => receiver === '' || a.deliveries.some((d) => d.receiver === receiver))
        .filter((a) => matches(`${summaryOf(a)} ${Object.values(a.labels).join(' ')}`))
        .sort(byUrgency),
    [live.data?.alerts, matches, receiver, rules],
  )
  const changes = useMemo(
    () =>
      history.data?.history
        .filter((t) => rules.length === 0 || rules.includes(t.rule_id))
        .filter((t) => matches(Object.values(t.labels).join(' ')))
        .map((t) => ({ ...t, key: `${t.time} ${t.rule_id} ${t.fingerprint} ${t.to}` })),
    [history.data, matches, rules],
  )
  return (
    <>
      <PageHeader title="Alerts" sentence="Active alerts, silences, rules, and who was notified." />
      <div className="tools">
        <FilterBox value={filter} onChange={setFilter} label="Filter alerts and rules" />
        {receiver !== '' && <Only word={`Alerts for the receiver ${receiver}`} onAll={() => setReceiver('', false)} />}
        {rules.length > 0 && <Only word="Alerts of one rule" onAll={() => setRuleIDs('', false)} />}
      </div>
      <Section title="Active" note={active && `${active.length}`}>
        {active === undefined ? (
          <Waiting what="alerts" error={live.error} />
        ) : active.length === 0 ? (
          <p className="quiet">
            <Status
              health="ok"
              word={live.data?.alerts.length === 0 ? 'Nothing is firing or pending.' : 'No active alert matches the filter.'}
            />
          </p>
        ) : (
          <ul className="alerts">
            {active.map((a) => (
              <ActiveAlert key={a.fingerprint} alert={a} all={live.data?.alerts ?? active} />
            ))}
          </ul>
        )}
      </Section>
      <Silences />
      <Rules matches={matches} ids={rules} />
      <Section title="Changes" note="newest first">
        {changes === undefined ? (
          <Waiting what="changes" error={history.error} />
        ) : (
          <Table
            label="Changes"
            rows={changes}
            columns={historyColumns}
            rowKey={historyKey}
            sort="-time"
            param="hs"
            empty="No alert has changed state yet."
          />
        )}
        {changesShown === fewChanges && (history.data?.history.length ?? 0) >= fewChanges && (
          <button type="button" className="more" onClick={() => setChangesShown(manyChanges)}>
            Show more changes
          </button>
        )}
      </Section>
      <Notifications />
      <Receivers />
      <Alertmanagers />
    </>
  )
}

/** What a link has narrowed the page to, and the way back. */
function Only({ word, onAll }: { word: string; onAll: () => void }) {
  return (
    <span className="quiet">
      {word} <Button onClick={onAll}>Show all</Button>
    </span>
  )
}

function ActiveAlert({ alert, all }: { alert: Alert; all: readonly Alert[] }) {
  const service = serviceOf(alert)
  const { summary: _summary, description, runbook_url, ...others } = alert.annotations
  const cause = alert.evidence.why && causeOf(alert.evidence.why)
  return (
    <li className={`alert strip-${alert.state}`} data-row>
      <div className="alert-line">
        <Status health={alert.state} />
        <strong className="alert-name">{alert.labels.alertname}</strong>
        {service !== undefined && <ServiceLink name={service} row />}
        <span className="dim">
          for <Since time={alert.active_at} />
        </span>
        <span className="dim">
          value <b className="value">{alertValue(alert.value)}</b>
        </span>
        {runbook_url && /^https?:/.test(runbook_url) && <a href={runbook_url}>Runbook</a>}
        <Deliveries deliveries={alert.deliveries} />
      </div>
      <p className="alert-text">{summaryOf(alert)}</p>
      {cause !== undefined && (
        <p>
          <span className="dim">begins at</span> {cause}
        </p>
      )}
      {description && description !== summaryOf(alert) && <p className="dim">{description}</p>}
      <Labels labels={alert.labels} without={named} />
      {Object.keys(others).length > 0 && <Labels labels={others} />}
      <WhyDetails alert={alert} />
      <SilenceDetails alert={alert} all={all} />
    </li>
  )
}
