import { TextInput } from '@mantine/core'
import { useCallback, useMemo, useState } from 'react'
import { Link, useLocation } from 'wouter'
import { useOperations, useTraceSample, useTraces } from '../api/queries'
import type { TraceSummary } from '../api/types'
import { Ago, Chip, MetaWarnings, Problem, Section, Swatch, Waiting } from '../components/bits'
import { Choice, Field, SearchForm } from '../components/form'
import { More } from '../components/growing'
import { Name } from '../components/name'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { AttributeGroups, type Compare, WhatDiffers } from '../explore/analysis'
import { ConditionChips } from '../explore/chips'
import { type Condition, paramOf, parseConditions, textOf } from '../explore/conditions'
import { Facets } from '../explore/facets'
import { type Group, groupings, groupsOf } from '../explore/groups'
import { Heatmap } from '../explore/heatmap'
import { type Sample, sampleOf } from '../explore/sample'
import { serverNow } from '../lib/clock'
import { exact, millis, moment, percent, took } from '../lib/format'
import { endsNow, rangeEnd, rangeStart, type Span } from '../lib/range'
import { tracePath, useHref, useParams, useRange } from '../lib/url'
import { useLive } from '../live/use-live'
import { traceIDOf } from '../trace/ids'
import './traces.css'

const names = ['service', 'operation', 'status', 'min', 'max', 'attrs', 'order', 'group', 'compare', 'from', 'to'] as const

interface Row {
  trace: TraceSummary
  share: number // of the longest shown
}

function Root({ trace: t }: { trace: TraceSummary }) {
  const href = useHref()
  return (
    <Link href={href(tracePath(t.traceId))} className="name" data-row-link title={t.traceId}>
      {t.rootServiceName === '' ? (
        <span className="dim">root not seen yet</span>
      ) : (
        <>
          <span className="root-service">
            <Name of={t.rootServiceName} />
          </span>{' '}
          <Name of={t.rootOperationName} />
        </>
      )}
    </Link>
  )
}

const columns: Column<Row>[] = [
  { id: 'root', label: 'Root', className: 'c-main', cell: ({ trace }) => <Root trace={trace} /> },
  {
    id: 'duration',
    label: 'Duration',
    className: 'c-took',
    cell: ({ trace, share }) => (
      <span className="took">
        <span className="took-text">{took(trace.duration_ms)}</span>
        <span className="took-bar">
          <span style={{ width: `${(100 * share).toFixed(1)}%` }} />
        </span>
      </span>
    ),
  },
  { id: 'spans', label: 'Spans', numeric: true, wide: true, cell: ({ trace }) => trace.spanCount },
  {
    id: 'errors',
    label: 'Failed',
    numeric: true,
    title: 'Spans with status ERROR',
    cell: ({ trace }) => <span className={trace.errorSpanCount > 0 ? 'bad' : 'dim'}>{trace.errorSpanCount}</span>,
  },
  {
    id: 'services',
    label: 'Services',
    wide: true,
    className: 'c-services',
    cell: ({ trace }) => (
      <span className="name" title={trace.services.map((s) => `${s.name} ${s.spanCount}`).join(', ')}>
        {trace.services.map((s) => (
          <span key={s.name} className={s.errorSpanCount > 0 ? 'mark bad' : 'mark'}>
            <Swatch service={s.name} /> <Name of={s.name} />
          </span>
        ))}
      </span>
    ),
  },
  {
    id: 'start',
    label: 'Began',
    numeric: true,
    className: 'c-ago',
    cell: ({ trace }) => (
      <span className="dim">
        <Ago time={new Date(Number(BigInt(trace.minStartTimeUnixNano) / 1_000_000n)).toISOString()} />
      </span>
    ),
  },
]
const keyOf = (r: Row) => r.trace.traceId

export default function TracesPage() {
  const [range] = useRange()
  const [values, setValues] = useParams(names)
  const services = useLive('services', { range }).data?.services
  const operations = useOperations(values.service, range, values.service !== '').data?.operations
  const order = values.order === 'slowest' ? 'slowest' : 'newest'
  const conditions = useMemo(() => parseConditions(values.attrs), [values.attrs])
  const fine = conditions.problem === undefined
  const span = useMemo<Span>(() => (endsNow(range) ? { range } : { from: rangeStart(range), to: rangeEnd(range) }), [range])
  const filters = useMemo(
    () => ({
      service: values.service,
      operation: values.operation,
      status: values.status === 'error' || values.status === 'ok' ? values.status : undefined,
      min_duration: durationParam(values.min),
      max_duration: durationParam(values.max),
      attributes: conditions.list.map(paramOf),
    }),
    [values, conditions],
  )
  // A search for attributes may read a lot, so its list is the sample too.
  const costly = conditions.list.length > 0
  const traces = useTraces(
    useMemo(() => ({ ...filters, order }), [filters, order]),
    span,
    costly ? 200 : 50,
    fine,
  )
  const extra = useTraceSample(filters, span, fine && !costly)
  const group = groupings.find((g) => g === values.group)
  const spanFilters = useMemo(
    () => ({ service: filters.service, operation: filters.operation, status: filters.status, attributes: filters.attributes }),
    [filters],
  )
  const compare: Compare = values.compare === 'failed' || values.compare === 'slow' ? values.compare : ''
  const compareAs = useCallback((c: Compare) => setValues({ compare: c }), [setValues])
  const addCondition = useCallback((c: Condition) => setValues({ attrs: textOf([...conditions.list, c]) }), [setValues, conditions])
  const rows = useMemo(() => {
    const seen = new Map<string, TraceSummary>() // a trace that grew while pages were read may come twice
    for (const p of traces.data?.pages ?? []) for (const t of p.traces) seen.set(t.traceId, t)
    const longest = Math.max(...[...seen.values()].map((t) => t.duration_ms), 0.001)
    return [...seen.values()].map((trace): Row => ({ trace, share: trace.duration_ms / longest }))
  }, [traces.data])
  const sample = useMemo(() => {
    const now = (at: number) => at + serverNow() - Date.now()
    if (!costly) return extra.data && sampleOf(extra.data.traces, extra.data.next !== undefined, 'newest', span, now(extra.dataUpdatedAt))
    const read = rows.map((r) => r.trace)
    return traces.data && sampleOf(read, traces.hasNextPage, order, span, now(traces.dataUpdatedAt))
  }, [costly, extra.data, extra.dataUpdatedAt, traces.data, traces.dataUpdatedAt, traces.hasNextPage, rows, order, span])
  const [, navigate] = useLocation()
  const href = useHref()
  const open = useMemo(() => (r: Row) => navigate(href(tracePath(r.trace.traceId))), [navigate, href])
  const last = traces.data?.pages.at(-1)
  const list = (
    <Section
      title="Traces"
      note={
        traces.data && (
          <>
            {rows.length}
            {traces.hasNextPage ? ' and more' : ''}, as of <Ago time={new Date(traces.dataUpdatedAt).toISOString()} />
          </>
        )
      }
    >
      {traces.error !== null && traces.data !== undefined && <Problem error={traces.error} />}
      {traces.data === undefined ? (
        <Waiting what="traces" error={traces.error} />
      ) : (
        <Table
          label="Traces"
          rows={rows}
          columns={columns}
          rowKey={keyOf}
          sort=""
          onOpen={open}
          empty="No traces match these filters in this time range. Use a longer range or fewer filters."
        />
      )}
      <More list={traces} />
    </Section>
  )
  return (
    <>
      <PageHeader title="Traces" sentence="Traces whose spans match all filters." actions={<TraceBox />} />
      <SearchForm
        label="Search traces"
        values={values}
        onSubmit={(v) => {
          if (JSON.stringify({ ...v, from: values.from, to: values.to }) === JSON.stringify(values)) {
            void traces.refetch()
            if (!costly) void extra.refetch()
          } else setValues({ ...v, order: v.order === 'newest' ? '' : v.order, from: values.from, to: values.to })
        }}
      >
        <Field label="Service" name="service" value={values.service} options={services?.map((s) => s.name) ?? []} filter />
        <Field
          label="Operation"
          name="operation"
          value={values.operation}
          options={[...new Set(operations?.map((o) => o.name))]}
          placeholder="POST /checkout"
        />
        <Choice
          label="Status"
          name="status"
          value={values.status}
          options={[
            ['', 'any'],
            ['error', 'failed'],
            ['ok', 'not failed'],
          ]}
        />
        <Field label="At least" name="min" value={values.min} placeholder="150ms" />
        <Field label="At most" name="max" value={values.max} placeholder="2s" />
        <Field label="Attributes" name="attrs" value={values.attrs} placeholder="http.status_code>=500 db.system!=redis" wide />
        <Choice
          label="Order"
          name="order"
          value={order}
          options={[
            ['newest', 'newest first'],
            ['slowest', 'slowest first'],
          ]}
        />
        <Field label="Group by" name="group" value={values.group} options={groupOptions} placeholder="operation, http.route" />
      </SearchForm>
      {conditions.problem !== undefined && <Problem error={conditions.problem} />}
      <Chosen conditions={conditions.list} span={span} onChange={setValues} />
      <MetaWarnings meta={last?.meta?.partial ? last.meta : (extra.data?.meta ?? last?.meta)} />
      {fine && (
        <div className="explore">
          <Facets traces={sample?.traces ?? none} {...values} onChoose={setValues} />
          <div>
            {sample === undefined ? (
              <div className="heat-waiting">
                <Waiting what="the heatmap" error={traces.error ?? extra.error} />
              </div>
            ) : (
              <Heatmap {...sample} onRegion={({ from, to, min, max }) => setValues({ from: String(from), to: String(to), min, max })} />
            )}
            <WhatDiffers filters={spanFilters} span={span} compare={compare} onCompare={compareAs} onCondition={addCondition} />
            {group !== undefined ? (
              <Groups sample={sample} by={group} />
            ) : values.group !== '' ? (
              <AttributeGroups filters={spanFilters} span={span} by={values.group} />
            ) : (
              list
            )}
          </div>
        </div>
      )}
    </>
  )
}

const none: readonly TraceSummary[] = []

/** Of the root span, or any attribute of spans. */
const groupOptions = [...groupings, 'service.version', 'service.instance.id', 'http.route', 'db.operation.name']

/** What narrows the list beside the fields, each to be taken away. */
function Chosen({
  conditions,
  span,
  onChange,
}: {
  conditions: readonly Condition[]
  span: Span
  onChange: (v: { attrs?: string; from?: string; to?: string }) => void
}) {
  const timed = 'from' in span
  if (conditions.length === 0 && !timed) return null
  return (
    <div className="explore-chips">
      {timed && (
        <Chip label="time" onClear={() => onChange({ from: '', to: '' })}>
          {moment(span.from * 1000)} to {moment(span.to * 1000)}
        </Chip>
      )}
      <ConditionChips conditions={conditions} onChange={(attrs) => onChange({ attrs })} />
    </div>
  )
}

/** Opens the trace of an id, of a link or of a traceparent header. */
function TraceBox() {
  const [, navigate] = useLocation()
  const href = useHref()
  const [wrong, setWrong] = useState(false)
  return (
    <form
      className="explore-id"
      onSubmit={(e) => {
        e.preventDefault()
        const id = traceIDOf(String(new FormData(e.currentTarget).get('id') ?? ''))
        setWrong(id === undefined)
        if (id !== undefined) navigate(href(tracePath(id)))
      }}
    >
      <TextInput
        name="id"
        aria-label="Trace ID"
        placeholder="Open a trace by its ID"
        spellCheck={false}
        autoComplete="off"
        error={wrong ? 'A trace ID has 1 to 32 hex digits.' : undefined}
      />
    </form>
  )
}

const groupColumns: Column<Group>[] = [
  { id: 'group', label: 'Root', className: 'c-main', sort: (g) => g.key, cell: (g) => <GroupLink group={g} /> },
  { id: 'count', label: 'Traces', numeric: true, sort: (g) => g.count, cell: (g) => exact(g.count) },
  {
    id: 'failed',
    label: 'With failed spans',
    unit: '%',
    numeric: true,
    sort: (g) => g.failed / g.count,
    cell: (g) => <span className={g.failed > 0 ? 'bad' : 'dim'}>{percent(g.failed / g.count)}</span>,
  },
  { id: 'p50', label: 'p50', unit: 'ms', numeric: true, sort: (g) => g.p50, cell: (g) => millis(g.p50) },
  { id: 'p95', label: 'p95', unit: 'ms', numeric: true, sort: (g) => g.p95, cell: (g) => millis(g.p95) },
  {
    id: 'longest',
    label: 'Longest',
    unit: 'ms',
    numeric: true,
    sort: (g) => g.longest.duration_ms,
    cell: (g) => millis(g.longest.duration_ms),
  },
]

function GroupLink({ group: g }: { group: Group }) {
  const href = useHref()
  return (
    <Link href={href(tracePath(g.longest.traceId))} className="name" data-row-link title={`${g.key}: the longest trace`}>
      <bdi>{g.key.trim() || 'root not seen yet'}</bdi>
    </Link>
  )
}

function Groups({ sample, by }: { sample: Sample | undefined; by: 'operation' | 'service' }) {
  const rows = useMemo(() => groupsOf(sample?.traces ?? none, by), [sample, by])
  return (
    <Section title="Groups" note={sample && `${exact(sample.traces.length)} traces`}>
      {sample === undefined ? (
        <Waiting what="traces" />
      ) : (
        <Table
          label="Groups of traces"
          rows={rows}
          columns={groupColumns}
          rowKey={(g) => g.key}
          sort="-count"
          empty="No traces match these filters."
        />
      )}
    </Section>
  )
}

/** A bare number is milliseconds to who types it, and microseconds to the server. */
function durationParam(text: string): string {
  return /^\d+(\.\d+)?$/.test(text) ? `${text}ms` : text.replaceAll(' ', '')
}
