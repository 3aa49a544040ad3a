import { useMemo } from 'react'
import { ServiceLink } from '../components/bits'
import { type Column, Table } from '../components/table'
import { exact, millis, percent } from '../lib/format'
import type { Analysis } from './analysis'
import { type Total, totalsOf } from './totals'
import type { SpanNode, SpanTree } from './tree'

interface Props {
  tree: SpanTree
  analysis: Analysis | undefined
  services: ReadonlyMap<string, string>
  onOpen: (n: SpanNode) => void
}

const ms = (us: number) => millis(us / 1000)

function numbers(duration: number): Column<Total>[] {
  return [
    { id: 'count', label: 'Spans', numeric: true, sort: (t) => t.count, cell: (t) => exact(t.count) },
    {
      id: 'failed',
      label: 'Failed',
      numeric: true,
      sort: (t) => t.failed,
      cell: (t) => <span className={t.failed > 0 ? 'bad' : 'dim'}>{exact(t.failed)}</span>,
    },
    {
      id: 'total',
      label: 'Total',
      unit: 'ms',
      numeric: true,
      title: 'Durations added up; a span within another of the same group adds nothing',
      sort: (t) => t.total,
      cell: (t) => ms(t.total),
    },
    {
      id: 'average',
      label: 'Average',
      unit: 'ms',
      numeric: true,
      wide: true,
      sort: (t) => t.total / t.count,
      cell: (t) => ms(t.total / t.count),
    },
    {
      id: 'self',
      label: 'Self',
      unit: 'ms',
      numeric: true,
      title: 'Time in which no child ran',
      sort: (t) => t.self,
      cell: (t) => ms(t.self),
    },
    {
      id: 'critical',
      label: 'Critical path',
      unit: '%',
      numeric: true,
      title: 'Share of the duration of the trace',
      sort: (t) => t.critical,
      cell: (t) => (duration > 0 ? percent(t.critical / duration) : ''),
    },
  ]
}

const keyOf = (t: Total) => t.key

/** The spans of a trace by operation. */
export function SpanTable({ tree, analysis, services, onOpen }: Props) {
  const rows = useMemo(() => totalsOf(tree, analysis, true), [tree, analysis])
  const columns = useMemo(
    (): Column<Total>[] => [
      {
        id: 'operation',
        label: 'Service and operation',
        className: 'c-main',
        sort: (t) => `${t.service} ${t.operation}`,
        cell: (t) => (
          <button
            type="button"
            className="name"
            data-row-link
            title={`${t.service} ${t.operation}: the longest span`}
            onClick={() => onOpen(t.longest)}
          >
            <span className="tv-swatch" style={{ background: services.get(t.service) }} />
            <bdi className="tv-service">{t.service}</bdi> <bdi>{t.operation}</bdi>
          </button>
        ),
      },
      ...numbers(tree.duration),
    ],
    [tree, services, onOpen],
  )
  return <Table label="Operations of this trace" rows={rows} columns={columns} rowKey={keyOf} sort="-self" param="by" empty="No spans." />
}

/** The spans of a trace by service. */
export function ServiceTable({ tree, analysis, services }: Props) {
  const rows = useMemo(() => totalsOf(tree, analysis, false), [tree, analysis])
  const columns = useMemo(
    (): Column<Total>[] => [
      {
        id: 'service',
        label: 'Service',
        className: 'c-main',
        sort: (t) => t.service,
        cell: (t) => (
          <>
            <span className="tv-swatch" style={{ background: services.get(t.service) }} /> <ServiceLink name={t.service} row />
          </>
        ),
      },
      ...numbers(tree.duration),
    ],
    [tree, services],
  )
  return <Table label="Services of this trace" rows={rows} columns={columns} rowKey={keyOf} sort="-self" param="by" empty="No spans." />
}
