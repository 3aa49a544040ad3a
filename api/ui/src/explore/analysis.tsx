import { useCallback, useMemo } from 'react'
import { useSpanAnalysis } from '../api/queries'
import type { SpanGroup } from '../api/types'
import { MetaWarnings, Section, Waiting } from '../components/bits'
import { Pick } from '../components/form'
import { type Column, Table } from '../components/table'
import { exact, millis, percent } from '../lib/format'
import type { Span } from '../lib/range'
import { type Condition, parseConditions } from './conditions'
import { Differences } from './differences-table'

interface Filters {
  service: string
  operation: string
  status: string | undefined
  min_span_duration: string | undefined
  max_span_duration: string | undefined
  attributes: string[]
}

export type Compare = '' | 'failed' | 'slow'

const choices = [
  ['', 'Compare spans…'],
  ['failed', 'failed with the others'],
  ['slow', 'slow with the others'],
] as const

interface DifferProps {
  filters: Filters
  span: Span
  compare: Compare
  onCompare: (c: Compare) => void
  onCondition: (c: Condition) => void
}

/** Which attributes failed or slow spans have more often than the other spans that match. */
export function WhatDiffers({ filters, span, compare, onCompare, onCondition }: DifferProps) {
  const query = useMemo(() => ({ ...filters, status: undefined, part: ['differences'], select: compare }), [filters, compare])
  const { data, error } = useSpanAnalysis(query, span, compare !== '')
  const add = useCallback(
    (condition: string) => {
      for (const c of parseConditions(quoted(condition)).list) onCondition(c)
    },
    [onCondition],
  )
  const found = data?.differences
  return (
    <Section
      title="What differs"
      note={
        compare !== '' &&
        found && (
          <>
            {exact(found.selected)} {compare} spans against {exact(found.others)} others
            {data.sampled && `, a sample of ${percent(data.read_share)} %`}
          </>
        )
      }
      actions={<Pick label="Compare spans" hidden value={compare} options={choices} onChange={onCompare} />}
    >
      {compare === '' ? (
        <p className="dim">Compare failed or slow spans with the others to see which attributes they have in common.</p>
      ) : data === undefined || found === undefined ? (
        <Waiting what="the differences" error={error} />
      ) : (
        <>
          {!data.sampled && <MetaWarnings meta={data.meta} />}
          <Differences label="What differs" list={found.list} selected={compare} onFilter={add} />
        </>
      )}
    </Section>
  )
}

/** A condition of the server as it is typed: its value in quotes where it has to be. */
function quoted(condition: string): string {
  const at = /(=|>=)/.exec(condition)
  if (at === null) return condition
  const end = at.index + at[0].length
  return `${condition.slice(0, end)}"${condition.slice(end).replace(/(["\\])/g, '\\$1')}"`
}

const columns: Column<SpanGroup>[] = [
  {
    id: 'value',
    label: 'Value',
    className: 'c-main',
    sort: (g) => g.value,
    cell: (g) => (g.missing ? <span className="dim">not set</span> : <bdi className="name">{g.value || '""'}</bdi>),
  },
  { id: 'spans', label: 'Spans', numeric: true, sort: (g) => g.spans, cell: (g) => exact(g.spans) },
  {
    id: 'failed',
    label: 'Failed',
    unit: '%',
    numeric: true,
    sort: (g) => g.error_rate,
    cell: (g) => <span className={g.failed > 0 ? 'bad' : 'dim'}>{percent(g.error_rate)}</span>,
  },
  { id: 'p50', label: 'p50', unit: 'ms', numeric: true, sort: (g) => g.p50_ms, cell: (g) => millis(g.p50_ms) },
  { id: 'p95', label: 'p95', unit: 'ms', numeric: true, sort: (g) => g.p95_ms, cell: (g) => millis(g.p95_ms) },
  { id: 'p99', label: 'p99', unit: 'ms', numeric: true, wide: true, sort: (g) => g.p99_ms, cell: (g) => millis(g.p99_ms) },
]
const keyOf = (g: SpanGroup) => `${g.missing} ${g.value}`

/** The spans that match, by the values of one attribute. */
export function AttributeGroups({ filters, span, by }: { filters: Filters; span: Span; by: string }) {
  const query = useMemo(() => ({ ...filters, part: ['groups'], by, limit: 100 }), [filters, by])
  const { data, error } = useSpanAnalysis(query, span, true)
  return (
    <Section
      title={`Groups by ${by}`}
      note={data && `${exact(data.spans)} spans${data.sampled ? `, a sample of ${percent(data.read_share)} %` : ''}`}
    >
      {data?.groups === undefined ? (
        <Waiting what="the groups" error={error} />
      ) : (
        <Table
          label={`Spans by ${by}`}
          rows={data.groups}
          columns={columns}
          rowKey={keyOf}
          sort="-spans"
          empty="No spans match these filters."
        />
      )}
    </Section>
  )
}
