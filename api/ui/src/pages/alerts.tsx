import { useMemo } from 'react'
import { Link } from 'wouter'
import { useAlertHistory, useRules } from '../api/queries'
import type { Alert, Rule, Transition } from '../api/types'
import { Ago, Labels, Problem, Section, ServiceLink, Since, Status, Waiting } from '../components/bits'
import { FilterBox } from '../components/filter'
import { type Column, Table } from '../components/table'
import { alertValue, duration, millis } from '../lib/format'
import { byUrgency, type Health, serviceOf, summaryOf } from '../lib/health'
import { tracePath, useHref, useParam } from '../lib/url'
import { useLive } from '../live/use-live'

const named = ['alertname']

const ruleHealth = (r: Rule): Health => (r.state === 'firing' || r.state === 'pending' ? r.state : r.state === 'inactive' ? 'ok' : 'nodata')

const ruleColumns: Column<Rule>[] = [
  {
    id: 'state',
    label: 'State',
    className: 'c-status',
    sort: (r) => ['firing', 'pending', 'unknown', 'inactive'].indexOf(r.state),
    cell: (r) => (r.type === 'recording' ? <span className="dim">recording</span> : <Status health={ruleHealth(r)} word={r.state} />),
  },
  {
    id: 'rule',
    label: 'Rule',
    className: 'c-name',
    sort: (r) => r.name,
    cell: (r) => (
      <details className="rule">
        <summary className="name" data-row-link>
          {r.name}
        </summary>
        <code>{r.expr}</code>
        {r.labels && Object.keys(r.labels).length > 0 && <Labels labels={r.labels} />}
      </details>
    ),
  },
  {
    id: 'health',
    label: 'Health',
    sort: (r) => r.health,
    cell: (r) =>
      r.health === 'err' ? (
        <span title={r.last_error}>
          <Status health="firing" word="error" /> <span className="dim">{r.last_error}</span>
        </span>
      ) : (
        <Status health={r.health === 'ok' ? 'ok' : 'nodata'} word={r.health} />
      ),
  },
  { id: 'for', label: 'For', numeric: true, wide: true, cell: (r) => <span className={r.for === '0s' ? 'dim' : undefined}>{r.for}</span> },
  {
    id: 'told',
    label: 'Told',
    wide: true,
    title: 'head: as soon as a commit shows it. complete: once all partitions have been read that far.',
    sort: (r) => r.frontier,
    cell: (r) => (
      <span title={r.frontier_reason}>
        {r.frontier === 'head' ? 'at once' : r.frontier === 'complete' ? 'when complete' : r.frontier}{' '}
        <span className="dim">{r.frontier}</span>
      </span>
    ),
  },
  { id: 'group', label: 'Group', wide: true, sort: (r) => `${r.source} ${r.group}`, cell: (r) => <span title={r.source}>{r.group}</span> },
  {
    id: 'eval',
    label: 'Evaluated',
    numeric: true,
    wide: true,
    className: 'c-ago',
    cell: (r) => (
      <span className="dim">
        <Ago time={r.last_eval} />
      </span>
    ),
  },
]
const ruleKey = (r: Rule) => r.id

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

export default function AlertsPage() {
  const live = useLive('alerts')
  const rules = useRules()
  const history = useAlertHistory(50)
  const [filter, setFilter] = useParam('q')
  const matches = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
    return (text: string) => words.every((w) => text.toLowerCase().includes(w))
  }, [filter])
  const active = useMemo(
    () => live.data?.alerts.filter((a) => matches(`${summaryOf(a)} ${Object.values(a.labels).join(' ')}`)).sort(byUrgency),
    [live.data?.alerts, matches],
  )
  const shownRules = useMemo(() => rules.data?.rules.filter((r) => matches(`${r.name} ${r.expr} ${r.group}`)), [rules.data, matches])
  const changes = useMemo(
    () =>
      history.data?.history
        .filter((t) => matches(Object.values(t.labels).join(' ')))
        .map((t) => ({ ...t, key: `${t.time} ${t.rule_id} ${t.fingerprint} ${t.to}` })),
    [history.data, matches],
  )
  return (
    <>
      <h1 className="hidden">Alerts</h1>
      <div className="tools">
        <FilterBox value={filter} onChange={setFilter} label="Filter alerts and rules" />
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
              <ActiveAlert key={a.fingerprint} alert={a} />
            ))}
          </ul>
        )}
      </Section>
      <Section title="Rules" note={shownRules && `${shownRules.length}`}>
        {shownRules === undefined ? (
          <Waiting what="rules" error={rules.error} />
        ) : (
          <Table
            label="Rules"
            rows={shownRules}
            columns={ruleColumns}
            rowKey={ruleKey}
            sort="state"
            empty={rules.data?.rules.length === 0 ? 'No rule files are configured.' : 'No rule matches the filter.'}
          />
        )}
      </Section>
      <Section title="Changes" note="since this process began, newest first">
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
            empty="No alert has changed since then."
          />
        )}
      </Section>
      {rules.error && rules.data && <Problem error={rules.error} />}
    </>
  )
}

function ActiveAlert({ alert }: { alert: Alert }) {
  const service = serviceOf(alert)
  const href = useHref()
  const { summary: _summary, description, runbook_url, ...others } = alert.annotations
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
      </div>
      <p className="alert-text">{summaryOf(alert)}</p>
      {description && description !== summaryOf(alert) && <p className="dim">{description}</p>}
      <Labels labels={alert.labels} without={named} />
      {Object.keys(others).length > 0 && <Labels labels={others} />}
      <details>
        <summary>Why</summary>
        <code>{alert.evidence.expr}</code>
        {alert.evidence.for !== '0s' && <p className="dim">has to hold for {alert.evidence.for}</p>}
        {alert.evidence.traces.length > 0 && (
          <ul className="traces" aria-label="Traces from its last minutes">
            {alert.evidence.traces.map((t) => (
              <li key={t.trace_id + t.span_id}>
                <Link href={href(tracePath(t.trace_id), { span: t.span_id })}>{t.trace_id.slice(0, 16)}</Link>
                <span>{t.operation}</span>
                <span className={t.status === 'STATUS_CODE_ERROR' ? 'bad' : 'dim'}>
                  {t.status.replace('STATUS_CODE_', '').toLowerCase()}
                </span>
                <span className="num">{t.duration_ms < 1000 ? `${millis(t.duration_ms)} ms` : duration(t.duration_ms)}</span>
                <span className="dim">
                  <Ago time={t.time} />
                </span>
              </li>
            ))}
          </ul>
        )}
      </details>
    </li>
  )
}
