import { useMemo } from 'react'
import { Link } from 'wouter'
import type { LogPattern } from '../api/types'
import { Ago, MetaWarnings, NewBadge, Section, Waiting } from '../components/bits'
import { FilterBox } from '../components/filter'
import { type Column, Table } from '../components/table'
import { absolute, count, exact } from '../lib/format'
import { isNew, type Span, timesOf } from '../lib/range'
import { tracePath, useHref, useParam } from '../lib/url'
import { withoutEscapes } from './ansi'
import { useLogPatterns } from './queries'

interface Props {
  service: string
  span: Span
  /** Shows the lines of a pattern. */
  onChoose: (pattern: string) => void
}

/** Lines grouped by the words that they have in common. */
export function Patterns({ service, span, onChoose }: Props) {
  const patterns = useLogPatterns(service, span)
  const [filter, setFilter] = useParam('q')
  const data = patterns.data
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
    return data?.patterns.filter((p) => words.every((w) => `${p.pattern} ${p.services.join(' ')}`.toLowerCase().includes(w)))
  }, [data, filter])
  const since = data?.meta.since
  const columns = useMemo<Column<LogPattern>[]>(
    () => [
      {
        id: 'pattern',
        label: 'Pattern',
        className: 'c-main',
        sort: (p) => p.pattern,
        cell: (p) => (
          <button
            type="button"
            className="name"
            data-row-link
            title={`Newest line: ${withoutEscapes(p.sample)}`}
            onClick={() => onChoose(p.pattern)}
          >
            <code>
              <bdi>{withoutEscapes(p.pattern)}</bdi>
            </code>
          </button>
        ),
      },
      {
        id: 'count',
        label: 'Lines',
        numeric: true,
        sort: (p) => p.count,
        cell: (p) => <span title={exact(p.count)}>{count(p.count)}</span>,
      },
      {
        id: 'services',
        label: 'Services',
        wide: true,
        className: 'c-service',
        sort: (p) => p.services.length,
        cell: (p) => (
          <span className="name" title={p.services.join(', ')}>
            {p.services.length > 2 ? `${p.services.length} services` : p.services.join(', ')}
          </span>
        ),
      },
      {
        id: 'first',
        label: 'First seen',
        numeric: true,
        wide: true,
        className: 'c-ago',
        sort: (p) => p.first_seen ?? '',
        cell: (p) => (
          <>
            {isNew(p.first_seen, timesOf(span).start * 1000, since) && <NewBadge />} <Ago time={p.first_seen} />
          </>
        ),
      },
      {
        id: 'last',
        label: 'Last seen',
        numeric: true,
        wide: true,
        className: 'c-ago',
        sort: (p) => p.last_seen ?? '',
        cell: (p) => (
          <span className="dim" title={absolute(p.last_seen ?? '')}>
            <Ago time={p.last_seen} />
          </span>
        ),
      },
      { id: 'sample', label: 'Newest line', wide: true, className: 'c-sample', cell: (p) => <Sample pattern={p} /> },
    ],
    [onChoose, since, span],
  )
  return (
    <>
      <MetaWarnings meta={data?.meta} />
      <Section title="Patterns" note={data && `${rows?.length} of ${data.total}; words that differ are shown as <*>`}>
        <div className="tools">
          <FilterBox value={filter} onChange={setFilter} label="Filter patterns" />
        </div>
        {rows === undefined ? (
          <Waiting what="patterns" error={patterns.error} />
        ) : (
          <Table
            label="Patterns"
            rows={rows}
            columns={columns}
            rowKey={patternKey}
            sort="-count"
            onOpen={(p) => onChoose(p.pattern)}
            empty={data?.patterns.length ? 'No pattern matches the filter.' : 'No line in this range yet.'}
          />
        )}
      </Section>
    </>
  )
}
const patternKey = (p: LogPattern) => p.pattern

function Sample({ pattern: p }: { pattern: LogPattern }) {
  const href = useHref()
  const sample = withoutEscapes(p.sample)
  const text = (
    <code>
      <bdi>{sample}</bdi>
    </code>
  )
  return p.trace_id === '' ? (
    <span className="name" title={sample}>
      {text}
    </span>
  ) : (
    <Link href={href(tracePath(p.trace_id))} className="name" title={`${sample} (its trace)`}>
      {text}
    </Link>
  )
}
