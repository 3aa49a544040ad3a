import { Autocomplete, Button, TextInput } from '@mantine/core'
import { useCallback, useMemo, useState } from 'react'
import { Link, useLocation } from 'wouter'
import type { Query } from '../api/client'
import { useOperations, useSpanAnalysis, useTraceHeatmap, useTraceSample, useTraces } from '../api/queries'
import type { SpanAnalysis, TraceSummary } from '../api/types'
import { Ago, Chip, MetaWarnings, Problem, Section, Swatch, Waiting } from '../components/bits'
import { Pick } from '../components/form'
import { More } from '../components/growing'
import { Name } from '../components/name'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { AttributeGroups, type Compare, WhatDiffers } from '../explore/analysis'
import { type Condition, paramOf, parseConditions } from '../explore/conditions'
import { Facets } from '../explore/facets'
import { FilterBar } from '../explore/filter-bar'
import { type Group, groupings, groupsOf } from '../explore/groups'
import { Heatmap } from '../explore/heatmap'
import type { Suggestions } from '../explore/offers'
import { durationOf, fields, normal, paramsOf, same, tokensOf, withToken } from '../explore/tokens'
import { exact, millis, moment, percent, took } from '../lib/format'
import { endsNow, rangeEnd, rangeStart, type Span } from '../lib/range'
import { tracePath, useHref, useParams, useRange } from '../lib/url'
import { useLive } from '../live/use-live'
import { SavedViews } from '../saved/menu'
import { traceIDOf } from '../trace/ids'
import './traces.css'

const names = [
  'service',
  'operation',
  'status',
  'min',
  'max',
  'spanmin',
  'spanmax',
  'attrs',
  'order',
  'group',
  'compare',
  'from',
  'to',
] as const

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
  const tokens = useMemo(() => tokensOf(values), [values])
  const fine = tokens.problem === undefined
  const span = useMemo<Span>(() => (endsNow(range) ? { range } : { from: rangeStart(range), to: rangeEnd(range) }), [range])
  const attributes = useMemo(() => parseConditions(values.attrs).list.map(paramOf), [values.attrs])
  const spanFilters = useMemo(
    () => ({
      service: values.service,
      operation: values.operation,
      status: values.status === 'error' || values.status === 'ok' ? values.status : undefined,
      min_span_duration: durationOf(values.spanmin),
      max_span_duration: durationOf(values.spanmax),
      attributes,
    }),
    [values, attributes],
  )
  const filters = useMemo(
    () => ({ ...spanFilters, min_duration: durationOf(values.min), max_duration: durationOf(values.max) }),
    [spanFilters, values],
  )
  // A search for attributes may read a lot, so its list is the sample too.
  const costly = attributes.length > 0 || values.spanmin !== '' || values.spanmax !== ''
  const traces = useTraces(
    useMemo(() => ({ ...filters, order }), [filters, order]),
    span,
    costly ? 200 : 50,
    fine,
  )
  const group = groupings.find((g) => g === values.group)
  const extra = useTraceSample(filters, span, fine && !costly && group !== undefined)
  const compare: Compare = values.compare === 'failed' || values.compare === 'slow' ? values.compare : ''
  const compareAs = useCallback((c: Compare) => setValues({ compare: c }), [setValues])
  const put = useCallback((list: readonly Condition[]) => setValues({ ...paramsOf(list) }), [setValues])
  const add = useCallback((c: Condition) => put(withToken(tokens.list, c)), [put, tokens])
  const addCondition = useCallback(
    (c: Condition) => {
      const token = normal(c)
      if (typeof token !== 'string') add(token)
    },
    [add],
  )
  const remove = useCallback((c: Condition) => put(tokens.list.filter((t) => !same(t, c))), [put, tokens])
  const counts = useSpanAnalysis(
    useMemo(() => ({ ...spanFilters, part: ['facets'], limit: 60, read_time: '2s' }), [spanFilters]),
    span,
    fine,
  )
  const suggestions = useSuggestions(spanFilters, span, counts.data, services, operations)
  const rows = useMemo(() => {
    const seen = new Map<string, TraceSummary>() // a trace that grew while pages were read may come twice
    for (const p of traces.data?.pages ?? []) for (const t of p.traces) seen.set(t.traceId, t)
    const longest = Math.max(...[...seen.values()].map((t) => t.duration_ms), 0.001)
    return [...seen.values()].map((trace): Row => ({ trace, share: trace.duration_ms / longest }))
  }, [traces.data])
  const heat = useTraceHeatmap(filters, span, heatColumns, fine)
  const sample = useMemo((): Sample | undefined => {
    if (!costly) return extra.data && { traces: extra.data.traces, more: extra.data.next !== undefined }
    return traces.data && { traces: rows.map((r) => r.trace), more: traces.hasNextPage }
  }, [costly, extra.data, traces.data, traces.hasNextPage, rows])
  const [, navigate] = useLocation()
  const href = useHref()
  const open = useMemo(() => (r: Row) => navigate(href(tracePath(r.trace.traceId))), [navigate, href])
  const last = traces.data?.pages.at(-1)
  const refresh = () => {
    void traces.refetch()
    void counts.refetch()
    void heat.refetch()
    if (!costly && group !== undefined) void extra.refetch()
  }
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
      <PageHeader
        title="Traces"
        sentence="Traces with a span that matches all filters."
        actions={
          <>
            <SavedViews page="traces" />
            <TraceBox />
          </>
        }
      />
      <search className="explore-bar" aria-label="Search traces">
        <FilterBar
          tokens={tokens.list}
          problem={tokens.problem}
          onChange={put}
          suggestions={suggestions.found}
          onKey={suggestions.setKey}
        />
        <Pick
          label="Order"
          hidden
          value={order}
          options={[
            ['newest', 'newest first'],
            ['slowest', 'slowest first'],
          ]}
          onChange={(o) => setValues({ order: o === 'newest' ? '' : o })}
        />
        <GroupBy value={values.group} keys={suggestions.found.keys} onChange={(g) => setValues({ group: g })} />
        <Button className="explore-refresh" onClick={refresh}>
          Refresh
        </Button>
      </search>
      <Chosen span={span} onChange={setValues} />
      <MetaWarnings meta={last?.meta?.partial ? last.meta : (extra.data?.meta ?? last?.meta)} />
      {fine && (
        <div className="explore">
          <Facets
            data={counts.data}
            error={counts.error}
            stale={counts.isPlaceholderData}
            tokens={tokens.list}
            onAdd={add}
            onRemove={remove}
          />
          <div>
            {heat.data === undefined ? (
              <div className="heat-waiting">
                <Waiting what="the heatmap" error={heat.error} />
              </div>
            ) : (
              <Heatmap
                answer={heat.data}
                onRegion={({ from, to, min, max }) => setValues({ from: String(from), to: String(to), min, max })}
              />
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
function GroupBy({ value, keys, onChange }: { value: string; keys: Suggestions['keys']; onChange: (v: string) => void }) {
  const [text, setText] = useState(value)
  const [of, setOf] = useState(value)
  if (of !== value) {
    setOf(value)
    setText(value)
  }
  const data = useMemo(() => [...new Set([...groupings, ...keys.filter((k) => !(k.key in fields)).map((k) => k.key)])], [keys])
  return (
    <form
      className="field"
      onSubmit={(e) => {
        e.preventDefault()
        onChange(text.trim())
      }}
    >
      <Autocomplete
        aria-label="Group by"
        placeholder="Group by…"
        value={text}
        data={data}
        limit={50}
        clearable
        spellCheck={false}
        autoComplete="off"
        onChange={(t) => {
          setText(t)
          if (t === '') onChange('')
        }}
        onOptionSubmit={onChange}
      />
    </form>
  )
}

/** Keys of the spans that match, and values of the key that is typed. */
function useSuggestions(
  filters: Query,
  span: Span,
  counts: SpanAnalysis | undefined,
  services: readonly { name: string }[] | undefined,
  operations: readonly { name: string }[] | undefined,
) {
  const [key, setKey] = useState('')
  const by = key === 'service' ? 'service.name' : key === 'operation' ? 'span.name' : key
  const asked = key !== '' && fields[key]?.values === undefined
  const { data, isFetching } = useSpanAnalysis(
    useMemo(() => ({ ...filters, part: ['groups'], by, limit: 200 }), [filters, by]),
    span,
    asked,
  )
  const found = useMemo<Suggestions>(
    () => ({
      keys: (counts?.facets ?? []).filter((f) => f.values.some((v) => v.condition !== '')).map((f) => ({ key: f.key, count: f.spans })),
      values: asked && data?.groups ? data.groups.filter((g) => !g.missing).map((g) => ({ value: g.value, count: g.spans })) : [],
      services: [...new Set(services?.map((s) => s.name))],
      operations: [...new Set(operations?.map((o) => o.name))],
      loading: isFetching,
    }),
    [counts, asked, data, services, operations, isFetching],
  )
  return { found, setKey }
}

/** The part of the heatmap that was drawn, to be taken away. */
function Chosen({ span, onChange }: { span: Span; onChange: (v: { from?: string; to?: string }) => void }) {
  if (!('from' in span)) return null
  return (
    <div className="explore-chips">
      <Chip label="time" onClear={() => onChange({ from: '', to: '' })}>
        {moment(span.from * 1000)} to {moment(span.to * 1000)}
      </Chip>
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

const heatColumns = 90

/** Traces that the groups are made of; more match. */
interface Sample {
  traces: readonly TraceSummary[]
  more: boolean
}

function Groups({ sample, by }: { sample: Sample | undefined; by: 'operation' | 'service' }) {
  const rows = useMemo(() => groupsOf(sample?.traces ?? none, by), [sample, by])
  return (
    <Section title="Groups" note={sample && `${sample.more ? 'of the first ' : ''}${exact(sample.traces.length)} traces`}>
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
