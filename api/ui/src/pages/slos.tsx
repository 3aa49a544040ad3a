import { Button } from '@mantine/core'
import { Plus } from 'lucide-react'
import { useMemo, useState } from 'react'
import {
  budgetText,
  budgetWidth,
  coveredText,
  emptySLO,
  goodWords,
  latencyBounds,
  type SLODraft,
  sloField,
  sloOf,
  standingOf,
} from '../alert/budget'
import type { ApiError } from '../api/client'
import { type SLOAction, useSLOAction, useSLOs } from '../api/queries'
import type { SLO } from '../api/types'
import { MetaWarnings, Problem, Section, ServiceLink, Status, Waiting } from '../components/bits'
import { Pick } from '../components/form'
import { PageHeader } from '../components/page'
import { Sure } from '../components/sure'
import { type Column, Table } from '../components/table'
import { Text } from '../components/text'
import { useDenied } from '../identity/may'
import { none, percent, sig3 } from '../lib/format'
import { useLive } from '../live/use-live'
import '../alert/rule.css'
import './slos.css'

const columns = (act: (a: SLOAction) => void, busy: boolean, denied: string | undefined): Column<SLO>[] => [
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
        <b title={s.description}>{s.name}</b>{' '}
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
    cell: (s) => <Sure word="Delete" sure="Really delete" disabled={busy} denied={denied} onSure={() => act({ do: 'delete', id: s.id })} />,
  },
]
const keyOf = (s: SLO) => s.id

export default function SLOsPage() {
  const slos = useSLOs()
  const { mutate, isPending, error } = useSLOAction()
  const reason = useDenied('editor')
  const cols = useMemo(() => columns(mutate, isPending, reason), [mutate, isPending, reason])
  const [making, setMaking] = useState(false)
  return (
    <>
      <PageHeader
        title="SLOs"
        sentence="Objectives of services, how much of their error budget is left and how fast it burns."
        actions={
          <Button
            variant={making ? 'default' : 'filled'}
            leftSection={!making && <Plus size={14} aria-hidden="true" />}
            aria-expanded={making}
            disabled={reason !== undefined}
            title={reason}
            onClick={() => setMaking(!making)}
          >
            {making ? 'Discard' : 'New objective'}
          </Button>
        }
      />
      <Section title="Service level objectives" note={slos.data && `${slos.data.slos.length}`}>
        {making && <Make done={() => setMaking(false)} />}
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

function Make({ done }: { done: () => void }) {
  const [draft, setDraft] = useState(emptySLO)
  const services = useLive('services', { range: '1h' }).data?.services
  const { mutate, isPending, error } = useSLOAction()
  const set = (change: Partial<SLODraft>) => setDraft((d) => ({ ...d, ...change }))
  const wrong = error === null ? undefined : sloField(error as ApiError)
  const at = (f: keyof SLODraft) => (wrong?.field === f ? wrong.text : undefined)
  const field = (f: 'name' | 'objective' | 'window' | 'service' | 'operation' | 'good' | 'total' | 'description') => ({
    value: draft[f],
    onChange: (v: string) => set({ [f]: v }),
    error: at(f),
  })
  const promql = draft.by === 'promql'
  return (
    <form
      aria-label="New objective"
      className="rule-form making"
      onSubmit={(e) => {
        e.preventDefault()
        mutate({ do: 'create', slo: sloOf(draft) }, { onSuccess: done })
      }}
    >
      <div className="row">
        <Text label="Name" {...field('name')} required placeholder="checkout answers" />
        <Text label="Good, %" {...field('objective')} required options={['99', '99.5', '99.9', '99.95', '99.99']} />
        <Text label="Window" {...field('window')} required options={['7d', '28d', '30d', '90d']} />
        <Pick
          label="What is counted"
          value={draft.by}
          onChange={(by) => set({ by })}
          options={[
            ['service', 'requests to a service'],
            ['promql', 'PromQL'],
          ]}
        />
      </div>
      {promql ? (
        <>
          <Text label="Good events" hint="with $window: sum(rate(good_total[$window]))" {...field('good')} required area />
          <Text label="All events" {...field('total')} required area />
        </>
      ) : (
        <div className="row">
          <Text label="Service" {...field('service')} required options={services?.map((s) => s.name) ?? []} />
          <Text label="Operation" hint="all without it" {...field('operation')} />
          <Pick
            label="Good is"
            value={draft.latency}
            error={at('latency') !== undefined}
            onChange={(latency) => set({ latency })}
            options={[
              ['', 'requests without an error'],
              ...latencyBounds.map((b): [string, string] => [String(b), `what takes no longer than ${b} ms`]),
            ]}
          />
        </div>
      )}
      <Text label="Description" {...field('description')} />
      {error && wrong && (wrong.field === undefined || (promql && wrong.field === 'service') || wrong.field === 'latency') && (
        <Problem error={error} />
      )}
      <div className="tools">
        <Button type="submit" variant="filled" disabled={isPending}>
          Create objective
        </Button>
      </div>
    </form>
  )
}
