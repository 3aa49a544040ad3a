import { useMemo } from 'react'
import { Link, useParams } from 'wouter'
import { useException } from '../api/queries'
import type { ExceptionAnswer, ExceptionExample, ExceptionPlace } from '../api/types'
import { Chart, type Line } from '../chart/chart'
import { Ago, MetaWarnings, NewBadge, Problem, Section, ServiceLink, Waiting } from '../components/bits'
import { LinkButton } from '../components/button'
import { Name } from '../components/name'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { mergedWords, sourceWords, versionWords } from '../explore/exceptions'
import { count, exact, none } from '../lib/format'
import { isNew, type Range, rangeEnd, rangeStart } from '../lib/range'
import { tracePath, useHref, useRange } from '../lib/url'
import { withoutEscapes } from '../logs/ansi'
import { StackTrace } from '../trace/stack-view'
import { sparkOf } from './errors'
import './errors.css'

const columns: Column<ExceptionPlace>[] = [
  { id: 'service', label: 'Service', className: 'c-main', sort: (p) => p.service, cell: (p) => <ServiceLink name={p.service} row /> },
  {
    id: 'operation',
    label: 'Operation',
    className: 'c-operation',
    sort: (p) => p.operation,
    cell: (p) =>
      p.operation === '' ? (
        <span className="dim">log record</span>
      ) : (
        <span className="name" title={p.operation}>
          <Name of={p.operation} />
        </span>
      ),
  },
  { id: 'count', label: 'Count', numeric: true, sort: (p) => p.count, cell: (p) => <span title={exact(p.count)}>{count(p.count)}</span> },
  {
    id: 'first',
    label: 'First seen',
    numeric: true,
    wide: true,
    className: 'c-ago',
    sort: (p) => p.first_seen ?? '',
    cell: (p) => <Ago time={p.first_seen} />,
  },
  {
    id: 'last',
    label: 'Last seen',
    numeric: true,
    wide: true,
    className: 'c-ago',
    sort: (p) => p.last_seen ?? '',
    cell: (p) => <Ago time={p.last_seen} />,
  },
]
const keyOf = (p: ExceptionPlace) => JSON.stringify([p.service, p.dimensions, p.operation, p.source])

/** Exceptions of one type and message. */
export default function ExceptionPage() {
  const { id = '' } = useParams<{ id: string }>()
  const [range] = useRange()
  const href = useHref()
  const answer = useException(id, range)
  const crumb = <Link href={href('/errors')}>Errors</Link>
  if (answer.data === undefined)
    return (
      <>
        <PageHeader crumb={crumb} title="Exception" />
        <Waiting what="the exception" error={answer.error} />
      </>
    )
  const { exception: e, example, places, meta } = answer.data
  const service = e.services[0]?.service ?? ''
  return (
    <>
      <PageHeader
        crumb={crumb}
        title={<bdi>{e.type || '(no type)'}</bdi>}
        beside={isNew(e.first_seen, rangeStart(range) * 1000, meta.since) && <NewBadge />}
        sentence={<bdi>{withoutEscapes(e.message)}</bdi>}
        actions={<LinkButton href={href('/traces', { service, status: 'error' })}>Failed traces of {service}</LinkButton>}
      />
      <MetaWarnings meta={meta} />
      {answer.error !== null && <Problem error={answer.error} />}
      <dl className="facts">
        <div title={mergedWords(e)}>
          <dt>In the range</dt>
          <dd>{count(e.count)}</dd>
        </div>
        <div>
          <dt>From</dt>
          <dd>{sourceWords(e)}</dd>
        </div>
        <div>
          <dt>First seen</dt>
          <dd>
            <Ago time={e.first_seen} />
          </dd>
        </div>
        <div>
          <dt>Last seen</dt>
          <dd>
            <Ago time={e.last_seen} />
          </dd>
        </div>
        <div title="Version that was running when it was first seen">
          <dt>First version</dt>
          <dd>
            <bdi>{versionWords(e) || none}</bdi>
          </dd>
        </div>
      </dl>
      <p className="dim exception-counts">{mergedWords(e)}</p>
      <Over answer={answer.data} range={range} />
      <Section title="Recent example">
        {example === null ? (
          <p className="quiet">No exception of this kind is kept any more in this time range.</p>
        ) : (
          <Example of={example} />
        )}
      </Section>
      <Section title="Where it occurs" note={places.length > 1 && `${places.length} places, as each source counts`}>
        <Table label="Places" rows={places} columns={columns} rowKey={keyOf} sort="-count" empty="Nowhere in this range." />
      </Section>
    </>
  )
}

function Over({ answer: a, range }: { answer: ExceptionAnswer; range: Range }) {
  const chart = useMemo(() => {
    const [start, end, step] = [rangeStart(range), rangeEnd(range), a.step_s]
    const values = sparkOf(a.exception.points ?? [], start, end, step)
    const first = Math.floor(start / step) * step
    const lines: Line[] = [{ label: 'exceptions', color: '--c-error', values }]
    return { lines, times: values.map((_, i) => first + (i + 1) * step), span: [first, first + values.length * step] as [number, number] }
  }, [a, range])
  return (
    <div className="charts charts-one">
      <Chart title="Exceptions" unit="per step" format={count} stacked height={132} {...chart} />
    </div>
  )
}

function Example({ of: e }: { of: ExceptionExample }) {
  const href = useHref()
  return (
    <div className="detail">
      <p className="where">
        <ServiceLink name={e.service} />
        {e.operation !== '' && (
          <span className="dim">
            <Name of={e.operation} />
          </span>
        )}
        {e.version !== '' && <bdi className="dim">version {e.version}</bdi>}
        <span className="dim">
          <Ago time={e.time} />
        </span>
        {e.trace_id !== '' && <Link href={href(tracePath(e.trace_id), { span: e.span_id })}>Open its trace</Link>}
      </p>
      <pre>
        <bdi>{withoutEscapes(e.message)}</bdi>
      </pre>
      {e.stacktrace === '' ? (
        <p className="dim">It was recorded without a stack trace.</p>
      ) : (
        <StackTrace stack={withoutEscapes(e.stacktrace)} />
      )}
    </div>
  )
}
