import { useMemo } from 'react'
import { Link } from 'wouter'
import { errorStep, useErrors } from '../api/queries'
import type { ErrorGroup } from '../api/types'
import { Ago, Disclosure, MetaWarnings, NewBadge, Problem, Section, ServiceLink, Waiting } from '../components/bits'
import { Field, FormCheck, SearchForm } from '../components/form'
import { More } from '../components/growing'
import { Name } from '../components/name'
import { PageHeader } from '../components/page'
import { Spark } from '../components/spark'
import { type Column, Table } from '../components/table'
import { count, exact } from '../lib/format'
import { isNew, rangeEnd, rangeStart } from '../lib/range'
import { tracePath, useHref, useParams, useRange } from '../lib/url'
import { useLive } from '../live/use-live'

interface Row {
  group: ErrorGroup
  spark: number[]
  fresh: boolean
}

const names = ['service', 'type', 'only'] as const
const shownTraces = 8

const columns: Column<Row>[] = [
  {
    id: 'error',
    label: 'Error',
    className: 'c-main',
    sort: ({ group: g }) => `${g.type} ${g.message}`,
    cell: ({ group }) => <What group={group} />,
  },
  {
    id: 'service',
    label: 'Service',
    className: 'c-service',
    sort: ({ group: g }) => g.service,
    cell: ({ group: g }) => <ServiceLink name={g.service} />,
  },
  {
    id: 'operation',
    label: 'Operation',
    wide: true,
    className: 'c-operation',
    sort: ({ group: g }) => g.operation,
    cell: ({ group: g }) =>
      g.operation === '' ? (
        <span className="dim">{g.source === 'log' ? 'log record' : 'other'}</span>
      ) : (
        <span className="name" title={g.operation}>
          <Name of={g.operation} />
        </span>
      ),
  },
  {
    id: 'count',
    label: 'Count',
    numeric: true,
    sort: ({ group: g }) => g.count,
    cell: ({ group: g }) => <span title={exact(g.count)}>{count(g.count)}</span>,
  },
  {
    id: 'trend',
    label: 'Trend',
    wide: true,
    className: 'c-spark',
    title: 'Count over the time range, from zero to its maximum',
    cell: ({ group: g, spark }) => <Spark values={spark} label={`Count of ${g.type} in ${g.service} over the range`} />,
  },
  {
    id: 'first',
    label: 'First seen',
    numeric: true,
    wide: true,
    className: 'c-ago',
    sort: ({ group: g }) => g.first_seen ?? '',
    cell: ({ group: g, fresh }) => (
      <>
        {fresh && <NewBadge />} <Ago time={g.first_seen} />
      </>
    ),
  },
  {
    id: 'last',
    label: 'Last seen',
    numeric: true,
    wide: true,
    className: 'c-ago',
    sort: ({ group: g }) => g.last_seen ?? '',
    cell: ({ group: g }) => (
      <span className="dim">
        <Ago time={g.last_seen} />
      </span>
    ),
  },
]
const keyOf = ({ group: g }: Row) => JSON.stringify([g.service, g.operation, g.type, g.message, g.source])

function What({ group: g }: { group: ErrorGroup }) {
  const href = useHref()
  return (
    <Disclosure
      summary={
        <>
          <b>{g.type === '' ? '(no type)' : <Name of={g.type} />}</b> <Name of={g.message} />
        </>
      }
    >
      {() => (
        <div className="detail">
          <h3>Newest message</h3>
          <pre>{g.sample}</pre>
          <p className="dim">
            first seen <Ago time={g.first_seen} />, last seen <Ago time={g.last_seen} />
          </p>
          {g.traces.length > 0 && (
            <>
              <h3>Traces with this exception</h3>
              <ul className="traces">
                {g.traces.slice(0, shownTraces).map((id) => (
                  <li key={id}>
                    <Link href={href(tracePath(id))}>{id}</Link>
                  </li>
                ))}
              </ul>
            </>
          )}
          <p>
            <Link href={href('/traces', { service: g.service, operation: g.operation, status: 'error' })}>
              All failed traces of {g.service} {g.operation}
            </Link>
          </p>
        </div>
      )}
    </Disclosure>
  )
}

export default function ErrorsPage() {
  const [range] = useRange()
  const [v, set] = useParams(names)
  const services = useLive('services', { range }).data?.services
  const errors = useErrors(v.service, v.type, v.only === 'new', range)
  const pages = errors.data?.pages
  const rows = useMemo(() => {
    const start = rangeStart(range)
    const end = rangeEnd(range)
    const step = pages?.[0]?.step_s ?? errorStep(range)
    return pages?.flatMap((p) =>
      p.errors.map((group): Row => {
        const spark = sparkOf(group.points ?? [], start, end, step)
        return { group, spark, fresh: isNew(group.first_seen, start * 1000, p.meta.since) }
      }),
    )
  }, [pages, range])
  const types = useMemo(() => [...new Set(rows?.map((r) => r.group.type).filter(Boolean))].sort(), [rows])
  const total = rows?.reduce((n, r) => n + r.group.count, 0) ?? 0
  return (
    <>
      <PageHeader title="Errors" sentence="Exceptions of spans and log records, grouped by service, type and message." />
      <SearchForm label="Filter errors" values={v} onSubmit={set} submit="Filter">
        <Field label="Service" name="service" value={v.service} options={services?.map((s) => s.name) ?? []} filter />
        <Field label="Type" name="type" value={v.type} options={types} placeholder="java.io.IOException" wide />
        <FormCheck label="only first seen in the range" name="only" value="new" checked={v.only === 'new'} />
      </SearchForm>
      <MetaWarnings meta={pages?.at(-1)?.meta} />
      <Section
        title="Exceptions"
        note={rows && `${rows.length}${errors.hasNextPage ? ' and more' : ''} groups, ${count(total)} exceptions`}
      >
        {errors.error !== null && rows !== undefined && <Problem error={errors.error} />}
        {rows === undefined ? (
          <Waiting what="errors" error={errors.error} />
        ) : (
          <Table
            label="Exceptions"
            rows={rows}
            columns={columns}
            rowKey={keyOf}
            sort="-count"
            empty={
              v.service !== '' || v.type !== '' || v.only !== ''
                ? 'No exception of this range matches the filter.'
                : 'No exceptions in this range.'
            }
          />
        )}
        <More list={errors} />
      </Section>
    </>
  )
}

/** Counts of every step of the range; steps without any are left out of what the server says. */
export function sparkOf(points: readonly { time: string; count: number }[], start: number, end: number, step: number): number[] {
  const first = Math.floor(start / step)
  const out = new Array<number>(Math.max(2, Math.ceil(end / step) - first)).fill(0)
  for (const p of points) {
    const i = Math.floor(Date.parse(p.time) / 1000 / step) - first
    if (i >= 0 && i < out.length) out[i] = (out[i] ?? 0) + p.count
  }
  return out
}
