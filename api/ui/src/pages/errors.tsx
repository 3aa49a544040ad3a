import { useMemo } from 'react'
import { Link, useLocation } from 'wouter'
import { errorStep, useExceptions } from '../api/queries'
import type { Exception } from '../api/types'
import { Ago, MetaWarnings, NewBadge, Problem, Section, ServiceLink, Waiting } from '../components/bits'
import { Field, FormCheck, SearchForm } from '../components/form'
import { More } from '../components/growing'
import { Name } from '../components/name'
import { PageHeader } from '../components/page'
import { Spark } from '../components/spark'
import { type Column, Table } from '../components/table'
import { mergedWords, sourceWords, versionWords } from '../explore/exceptions'
import { count, exact, none } from '../lib/format'
import { isNew, rangeEnd, rangeStart } from '../lib/range'
import { useHref, useParams, useRange } from '../lib/url'
import { useLive } from '../live/use-live'
import './errors.css'

interface Row {
  group: Exception
  spark: number[]
  fresh: boolean
}

const names = ['service', 'type', 'only'] as const

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
    label: 'Services',
    className: 'c-service',
    sort: ({ group: g }) => g.services[0]?.service ?? '',
    cell: ({ group: g }) => (
      <>
        <ServiceLink name={g.services[0]?.service ?? ''} />
        {g.services.length > 1 && (
          <span className="dim" title={g.services.map((s) => `${s.service} ${s.count}`).join(', ')}>
            {' '}
            and {g.services.length - 1} more
          </span>
        )}
      </>
    ),
  },
  {
    id: 'source',
    label: 'From',
    wide: true,
    className: 'c-source',
    sort: ({ group: g }) => sourceWords(g),
    cell: ({ group: g }) => (
      <span className="dim" title={mergedWords(g)}>
        {sourceWords(g)}
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
    cell: ({ group: g, spark }) => <Spark values={spark} label={`Count of ${g.type} ${g.message} over the range`} />,
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
    id: 'version',
    label: 'First version',
    wide: true,
    className: 'c-version',
    title: 'Version that was running when it was first seen',
    sort: ({ group: g }) => versionWords(g),
    cell: ({ group: g }) => <bdi>{versionWords(g) || none}</bdi>,
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
const keyOf = ({ group: g }: Row) => g.id

function What({ group: g }: { group: Exception }) {
  const href = useHref()
  return (
    <Link href={href(`/errors/${g.id}`)} className="name" data-row-link title={`${g.type}: ${g.sample}`}>
      <b>{g.type === '' ? '(no type)' : <Name of={g.type} />}</b> <Name of={g.message} />
    </Link>
  )
}

export default function ErrorsPage() {
  const [range] = useRange()
  const [v, set] = useParams(names)
  const services = useLive('services', { range }).data?.services
  const errors = useExceptions(v.service, v.type, v.only === 'new', range)
  const pages = errors.data?.pages
  const rows = useMemo(() => {
    const start = rangeStart(range)
    const end = rangeEnd(range)
    const step = pages?.[0]?.step_s ?? errorStep(range)
    return pages?.flatMap((p) =>
      p.exceptions.map((group): Row => {
        const spark = sparkOf(group.points ?? [], start, end, step)
        return { group, spark, fresh: isNew(group.first_seen, start * 1000, p.meta.since) }
      }),
    )
  }, [pages, range])
  const [, navigate] = useLocation()
  const href = useHref()
  const open = useMemo(() => (r: Row) => navigate(href(`/errors/${r.group.id}`)), [navigate, href])
  const types = useMemo(() => [...new Set(rows?.map((r) => r.group.type).filter(Boolean))].sort(), [rows])
  const total = rows?.reduce((n, r) => n + r.group.count, 0) ?? 0
  return (
    <>
      <PageHeader title="Errors" sentence="Exceptions of spans and log records, each counted once, by type and message." />
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
            onOpen={open}
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
