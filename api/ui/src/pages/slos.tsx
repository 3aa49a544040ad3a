import { Button } from '@mantine/core'
import { Plus } from 'lucide-react'
import { useMemo, useState } from 'react'
import { Link } from 'wouter'
import { budgetText, budgetWidth, coveredText, goodWords, standingOf } from '../alert/budget'
import { SLOForm } from '../alert/slo-form'
import { type SLOAction, useSLOAction, useSLOs } from '../alert/slo-queries'
import type { SLO } from '../api/types'
import { MetaWarnings, Problem, Section, ServiceLink, Status, Waiting } from '../components/bits'
import { PageHeader } from '../components/page'
import { Sure } from '../components/sure'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import { none, percent, sig3 } from '../lib/format'
import { useHref } from '../lib/url'
import '../alert/rule.css'
import './slos.css'

const columns = (act: (a: SLOAction) => void, edit: (s: SLO) => void, busy: boolean, denied: string | undefined): Column<SLO>[] => [
  {
    id: 'state',
    label: 'State',
    className: 'c-standing',
    sort: (s) => ['firing', 'pending', 'nodata', 'ok'].indexOf(standingOf(s).health),
    cell: (s) => <Status {...standingOf(s)} />,
  },
  {
    id: 'name',
    label: 'Objective',
    className: 'c-call c-slo',
    sort: (s) => s.name,
    cell: (s) => (
      <>
        <SLOLink slo={s} />{' '}
        <span className="dim">
          {s.objective} % of {goodWords(s)}, over {s.window}
        </span>
      </>
    ),
  },
  {
    id: 'service',
    label: 'Service',
    wide: true,
    sort: (s) => s.service ?? '',
    cell: (s) => (s.service ? <ServiceLink name={s.service} row /> : none),
  },
  {
    id: 'budget',
    label: 'Budget left',
    unit: '%',
    title: 'Remaining error budget of the whole window; below zero it is overspent',
    numeric: true,
    sort: (s) => s.status.budget_remaining ?? Number.POSITIVE_INFINITY,
    cell: (s) => {
      const left = s.status.budget_remaining
      if (left === null) return <span className="dim">{none}</span>
      return (
        <span className="share" title={coveredText(s)}>
          <span className={left <= 0 ? 'share-bar budget overdrawn' : 'share-bar budget'} aria-hidden="true">
            <span style={{ width: `${100 * budgetWidth(left)}%` }} />
          </span>
          <span className={left <= 0 ? 'budget-text bad' : 'budget-text'}>{budgetText(left)}</span>
        </span>
      )
    },
  },
  {
    id: 'burn',
    label: 'Burn rate',
    title: 'Over the last hour; 1 uses the budget up in just the window',
    numeric: true,
    sort: (s) => s.status.burn_rate ?? -1,
    cell: (s) =>
      s.status.burn_rate === null ? (
        <span className="dim">{none}</span>
      ) : (
        <span className={s.status.burn_rate > 1 ? 'bad' : undefined}>{sig3(s.status.burn_rate)}</span>
      ),
  },
  {
    id: 'bad',
    label: 'Bad',
    unit: '%',
    title: 'Share of bad events over the window',
    numeric: true,
    wide: true,
    sort: (s) => s.status.error_ratio ?? -1,
    cell: (s) => (s.status.error_ratio === null ? <span className="dim">{none}</span> : percent(s.status.error_ratio)),
  },
  {
    id: 'do',
    label: 'Change',
    className: 'c-do',
    cell: (s) => (
      <span className="slo-do">
        <Button disabled={denied !== undefined} title={denied} aria-label={`Edit ${s.name}`} onClick={() => edit(s)}>
          Edit
        </Button>
        <Sure word="Delete" sure="Really delete" disabled={busy} denied={denied} onSure={() => act({ do: 'delete', id: s.id })} />
      </span>
    ),
  },
]
function SLOLink({ slo: s }: { slo: SLO }) {
  const href = useHref()
  return (
    <Link href={href(`/slos/${encodeURIComponent(s.id)}`)} className="name" data-row-link title={s.description}>
      <bdi>{s.name}</bdi>
    </Link>
  )
}

const keyOf = (s: SLO) => s.id

export default function SLOsPage() {
  const slos = useSLOs()
  const { mutate, isPending, error } = useSLOAction()
  const reason = useDenied('editor')
  const [making, setMaking] = useState<SLO | 'new' | undefined>()
  const cols = useMemo(() => columns(mutate, setMaking, isPending, reason), [mutate, isPending, reason])
  return (
    <>
      <PageHeader
        title="SLOs"
        sentence="Objectives of services, how much of their error budget is left and how fast it burns."
        actions={
          <Button
            variant={making ? 'default' : 'filled'}
            leftSection={!making && <Plus size={14} aria-hidden="true" />}
            aria-expanded={making !== undefined}
            disabled={reason !== undefined}
            title={reason}
            onClick={() => setMaking(making ? undefined : 'new')}
          >
            {making ? 'Discard' : 'New objective'}
          </Button>
        }
      />
      <Section title="Service level objectives" note={slos.data && `${slos.data.slos.length}`}>
        {making && (
          <SLOForm key={making === 'new' ? '' : making.id} of={making === 'new' ? undefined : making} done={() => setMaking(undefined)} />
        )}
        {error && <Problem error={error} />}
        {slos.data === undefined ? (
          <Waiting what="objectives" error={slos.error} />
        ) : (
          <>
            <MetaWarnings meta={slos.data.meta} />
            <div className="slos">
              <Table
                label="Objectives"
                rows={slos.data.slos}
                columns={cols}
                rowKey={keyOf}
                sort="state"
                empty="No objectives yet. An objective sets the share of requests that must be good; WatchingCat derives its error budget and alerts."
              />
            </div>
          </>
        )}
      </Section>
    </>
  )
}
