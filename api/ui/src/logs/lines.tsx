import { memo } from 'react'
import type { LogLine } from '../api/types'
import { Disclosure, ServiceLink } from '../components/bits'
import { type Column, Table } from '../components/table'
import { absolute, timeOfDay } from '../lib/format'
import type { Line } from '../live/tail'
import { LineDetail, TraceLink } from './detail'
import { severityOf, textOfLine } from './line'
import './lines.css'

const shortest = 500

const Body = memo(function Body({ line }: { line: LogLine }) {
  const text = textOfLine(line)
  return (
    <Disclosure
      summary={
        <code className={`sev-${severityOf(line.severity)}`}>
          <bdi>{text.slice(0, shortest)}</bdi>
        </code>
      }
    >
      {() => <LineDetail line={line} whole={text.length > shortest || text.includes('\n')} />}
    </Disclosure>
  )
})

export const lineColumns: Column<Line>[] = [
  {
    id: 'time',
    label: 'Time',
    className: 'c-time',
    cell: ({ line }) => (
      <time dateTime={line.time} title={absolute(line.time)}>
        {timeOfDay(line.time)}
      </time>
    ),
  },
  {
    id: 'severity',
    label: 'Severity',
    className: 'c-sev',
    cell: ({ line }) => <span className={`sev sev-${severityOf(line.severity)}`}>{line.severity || 'none'}</span>,
  },
  { id: 'service', label: 'Service', wide: true, className: 'c-service', cell: ({ line }) => <ServiceLink name={line.service} /> },
  { id: 'body', label: 'Line', className: 'c-line', cell: ({ line }) => <Body line={line} /> },
  { id: 'trace', label: 'Trace', wide: true, className: 'c-trace', cell: ({ line }) => <TraceLink line={line} /> },
]
const keyOf = (l: Line) => l.key

interface Props {
  lines: readonly Line[]
  empty: string
  label?: string
  wrap?: boolean
}

export function LogLines({ lines, empty, label = 'Log lines', wrap = false }: Props) {
  return (
    <div className={wrap ? 'lines lines-wrap' : 'lines'}>
      <Table label={label} rows={lines} columns={lineColumns} rowKey={keyOf} sort="" empty={empty} />
    </div>
  )
}
