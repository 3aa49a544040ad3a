import { Button, SegmentedControl } from '@mantine/core'
import { useMemo, useState } from 'react'
import { Link, useParams } from 'wouter'
import { budgetText, coveredText, goodWords, standingOf } from '../alert/budget'
import { SLOForm } from '../alert/slo-form'
import { useSLO, useSLOBudget } from '../alert/slo-queries'
import { useAlertHistory, useAudit } from '../api/queries'
import type { AuditEntry, SLO, SLOBudget, Transition } from '../api/types'
import { Chart, type Line } from '../chart/chart'
import { Ago, Disclosure, MetaWarnings, Section, ServiceLink, Status, Waiting } from '../components/bits'
import { More } from '../components/growing'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import { absolute, none, percent, sig3 } from '../lib/format'
import { useHref } from '../lib/url'
import '../alert/rule.css'
import './slos.css'

/** One objective: its budget over the window, how fast it burns, its alerts and who changed it. */
export default function SLOPage() {
  const { id = '' } = useParams<{ id: string }>()
  const slo = useSLO(id)
  const budget = useSLOBudget(id)
  const href = useHref()
  const denied = useDenied('editor')
  const [editing, setEditing] = useState(false)
  const s = slo.data
  const crumb = <Link href={href('/slos')}>SLOs</Link>
  if (s === undefined)
    return (
      <>
        <PageHeader crumb={crumb} title="Objective" />
        <Waiting what="the objective" error={slo.error} />
      </>
    )
  return (
    <>
      <PageHeader
        crumb={crumb}
        title={<bdi>{s.name}</bdi>}
        beside={<Status {...standingOf(s)} />}
        sentence={
          <>
            {s.objective} % of {goodWords(s)}, over {s.window}
          </>
        }
        actions={
          <Button disabled={denied !== undefined} title={denied} aria-expanded={editing} onClick={() => setEditing(!editing)}>
            {editing ? 'Discard' : 'Edit'}
          </Button>
        }
      />
      {editing && <SLOForm of={s} done={() => setEditing(false)} />}
      {s.description && <p className="dim">{s.description}</p>}
      <Facts slo={s} budget={budget.data} />
      {coveredText(s) && <p className="dim">{coveredText(s)}</p>}
      <MetaWarnings meta={budget.data?.meta} />
      {budget.data === undefined ? <Waiting what="the budget" error={budget.error} /> : <BurnDown budget={budget.data} />}
      <Alerts name={s.name} />
      <History id={id} />
    </>
  )
}

function Facts({ slo: s, budget }: { slo: SLO; budget: SLOBudget | undefined }) {
  const left = s.status.budget_remaining
  return (
    <dl className="facts">
      <div>
        <dt>Budget left</dt>
        <dd className={left !== null && left <= 0 ? 'bad' : undefined}>{left === null ? none : `${budgetText(left)} %`}</dd>
      </div>
      <div>
        <dt>Bad events</dt>
        <dd>{s.status.error_ratio === null ? none : `${percent(s.status.error_ratio)} %`}</dd>
      </div>
      {budget?.burn_rates.map((b) => (
        <div key={b.window} title="1 uses up the budget exactly at the end of the window">
          <dt>Burn rate, {b.window}</dt>
          <dd className={(b.rate ?? 0) > 1 ? 'bad' : undefined}>{b.rate === null ? none : sig3(b.rate)}</dd>
        </div>
      ))}
      {s.service && (
        <div>
          <dt>Service</dt>
          <dd>
            <ServiceLink name={s.service} />
          </dd>
        </div>
      )}
    </dl>
  )
}

function BurnDown({ budget: b }: { budget: SLOBudget }) {
  const since = b.data_since === null ? undefined : Date.parse(b.data_since) / 1000
  const [start, end] = [Date.parse(b.start) / 1000, Date.parse(b.end) / 1000]
  const partly = since !== undefined && since > start + (end - start) * 0.02
  const [whole, setWhole] = useState(false)
  const lines = useMemo<Line[]>(
    () => [
      { label: 'budget left', color: '--c-sky', fill: true, values: b.points.map((p) => p.budget_remaining * 100) },
      { label: 'used up', color: '--c-error', dash: [4, 4], values: b.points.map(() => 0) },
    ],
    [b],
  )
  const times = useMemo(() => b.points.map((p) => Date.parse(p.time) / 1000), [b])
  return (
    <Section
      title="Budget over the window"
      note={since !== undefined && partly && `data since ${absolute(b.data_since ?? '')}`}
      actions={
        partly && (
          <SegmentedControl
            aria-label="Time axis"
            value={whole ? 'window' : 'data'}
            onChange={(v) => setWhole(v === 'window')}
            data={[
              { value: 'data', label: 'Since there is data' },
              { value: 'window', label: 'Whole window' },
            ]}
          />
        )
      }
    >
      {b.points.length === 0 ? (
        <p className="quiet">No events of the window are counted yet.</p>
      ) : (
        <div className="charts charts-one">
          <Chart
            title="Budget left"
            unit="%"
            times={times}
            lines={lines}
            format={sig3}
            span={[whole || since === undefined ? start : Math.max(start, since), end]}
            onSelect={() => {}}
          />
        </div>
      )}
    </Section>
  )
}

const alertColumns: Column<Transition>[] = [
  { id: 'time', label: 'When', className: 'c-ago', cell: (t) => <Ago time={t.time} /> },
  { id: 'to', label: 'State', cell: (t) => `${t.from} to ${t.to}` },
  { id: 'severity', label: 'Severity', cell: (t) => t.labels.severity ?? none },
  { id: 'windows', label: 'Windows', wide: true, cell: (t) => `${t.labels.long_window ?? none} and ${t.labels.short_window ?? none}` },
]
const keyOfAlert = (t: Transition) => `${t.time} ${t.fingerprint} ${t.to}`
const historyLimit = 1_000

function Alerts({ name }: { name: string }) {
  const history = useAlertHistory(historyLimit)
  const rows = useMemo(() => history.data?.history.filter((t) => t.labels.slo === name), [history.data, name])
  return (
    <Section title="Alerts" note={`among the newest ${historyLimit} changes of all alerts`}>
      {rows === undefined ? (
        <Waiting what="alerts" error={history.error} />
      ) : (
        <Table
          label="Alerts of the objective"
          rows={rows}
          columns={alertColumns}
          rowKey={keyOfAlert}
          sort=""
          empty="No alert of this objective changed."
        />
      )}
    </Section>
  )
}

const auditColumns: Column<AuditEntry>[] = [
  { id: 'time', label: 'When', className: 'c-ago', cell: (e) => <Ago time={e.time} /> },
  { id: 'by', label: 'Who', cell: (e) => <bdi>{e.by}</bdi> },
  {
    id: 'action',
    label: 'Action',
    className: 'c-name',
    cell: (e) => <Disclosure summary={e.action}>{() => <pre>{JSON.stringify(e.after ?? e.before ?? null, null, 2)}</pre>}</Disclosure>,
  },
]
const keyOfEntry = (e: AuditEntry) => e.id

function History({ id }: { id: string }) {
  const denied = useDenied('admin')
  return (
    <Section title="Changes" note="who changed the objective">
      {denied === undefined ? <Trail id={id} /> : <p className="said">{denied}</p>}
    </Section>
  )
}

function Trail({ id }: { id: string }) {
  const audit = useAudit('slo')
  const rows = useMemo(() => audit.data?.pages.flatMap((p) => p.audit.filter((e) => e.object === id)), [audit.data, id])
  if (rows === undefined) return <Waiting what="changes" error={audit.error} />
  return (
    <>
      <Table
        label="Changes"
        rows={rows}
        columns={auditColumns}
        rowKey={keyOfEntry}
        sort=""
        empty="None of the changes that were read is of this objective."
      />
      <More list={audit} />
    </>
  )
}
