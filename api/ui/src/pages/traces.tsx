import { useMemo } from 'react'
import { Link, useLocation } from 'wouter'
import { useOperations, useTraces } from '../api/queries'
import type { TraceSummary } from '../api/types'
import { Ago, MetaWarnings, Problem, Section, Swatch, Waiting } from '../components/bits'
import { Choice, Field, SearchForm } from '../components/form'
import { More } from '../components/growing'
import { Name } from '../components/name'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { parseAttributes, took } from '../lib/format'
import { tracePath, useHref, useParams, useRange } from '../lib/url'
import { useLive } from '../live/use-live'
import './traces.css'

const names = ['service', 'operation', 'status', 'min', 'attrs', 'order'] as const

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
  const attributes = useMemo(() => parseAttributes(values.attrs), [values.attrs])
  const query = useMemo(
    () => ({
      service: values.service,
      operation: values.operation,
      status: values.status === 'error' || values.status === 'ok' ? values.status : undefined,
      min_duration: durationParam(values.min),
      attributes,
      order,
    }),
    [values, attributes, order],
  )
  const traces = useTraces(query, range)
  const rows = useMemo(() => {
    const seen = new Map<string, TraceSummary>() // a trace that grew while pages were read may come twice
    for (const p of traces.data?.pages ?? []) for (const t of p.traces) seen.set(t.traceId, t)
    const longest = Math.max(...[...seen.values()].map((t) => t.duration_ms), 0.001)
    return [...seen.values()].map((trace): Row => ({ trace, share: trace.duration_ms / longest }))
  }, [traces.data])
  const [, navigate] = useLocation()
  const href = useHref()
  const open = useMemo(() => (r: Row) => navigate(href(tracePath(r.trace.traceId))), [navigate, href])
  const last = traces.data?.pages.at(-1)
  return (
    <>
      <PageHeader title="Traces" sentence="Traces whose spans match all filters." />
      <SearchForm
        label="Search traces"
        values={values}
        onSubmit={(v) => {
          if (JSON.stringify(v) === JSON.stringify(values)) void traces.refetch()
          else setValues({ ...v, order: v.order === 'newest' ? '' : v.order })
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
        <Field label="Attributes" name="attrs" value={values.attrs} placeholder="http.route=/cart" wide />
        <Choice
          label="Order"
          name="order"
          value={order}
          options={[
            ['newest', 'newest first'],
            ['slowest', 'slowest first'],
          ]}
        />
      </SearchForm>
      {values.attrs !== '' && attributes.length === 0 && (
        <Problem error={`Attributes are key=value, as http.route=/cart; "${values.attrs}" is none.`} />
      )}
      <MetaWarnings meta={last?.meta} />
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
    </>
  )
}

/** A bare number is milliseconds to who types it, and microseconds to the server. */
function durationParam(text: string): string {
  return /^\d+(\.\d+)?$/.test(text) ? `${text}ms` : text.replaceAll(' ', '')
}
