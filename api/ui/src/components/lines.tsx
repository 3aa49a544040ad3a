import { memo } from 'react'
import { Link } from 'wouter'
import type { LogLine } from '../api/types'
import { absolute, timeOfDay, valueText } from '../lib/format'
import { tracePath, useHref } from '../lib/url'
import type { Line } from '../live/tail'
import { Disclosure, ServiceLink } from './bits'
import { type Column, Table } from './table'
import './lines.css'

export const severities = ['error', 'warn', 'info', 'debug', 'other'] as const
export type Severity = (typeof severities)[number]

/** The five levels that are shown: FATAL is an error, WARN2 a warning, TRACE is debugging. */
export function severityOf(text: string): Severity {
  const t = text.toUpperCase()
  if (t.startsWith('FATAL') || t.startsWith('ERROR')) return 'error'
  if (t.startsWith('WARN')) return 'warn'
  if (t.startsWith('INFO')) return 'info'
  return t.startsWith('DEBUG') || t.startsWith('TRACE') ? 'debug' : 'other'
}

const shortest = 500
const longest = 10_000

/** What a line says: its body, else the name of its event. */
export const textOfLine = (line: LogLine) => line.body || line.event_name || '(no body)'

const Body = memo(function Body({ line }: { line: LogLine }) {
  return (
    <Disclosure summary={<code className={`sev-${severityOf(line.severity)}`}>{textOfLine(line).slice(0, shortest)}</code>}>
      {() => (
        <div className="detail">
          {(line.body.length > shortest || line.body.includes('\n')) && (
            <pre>
              {line.body.slice(0, longest)}
              {line.body.length > longest && ` … ${line.body.length - longest} more characters`}
            </pre>
          )}
          <p className="where">
            <ServiceLink name={line.service} />
            {line.trace_id !== '' && <TraceLink line={line} whole />}
          </p>
          <Pairs title="Log record" values={recordOf(line)} />
          <Pairs title="Attributes" values={line.attributes} />
          <Pairs title="Resource" values={line.resource} />
        </div>
      )}
    </Disclosure>
  )
})

/** The fields of the record beside body and attributes that it has. */
function recordOf(line: LogLine): Record<string, unknown> {
  const fields: [string, unknown][] = [
    ['Event name', line.event_name],
    ['Severity text', line.severity_text],
    ['Severity number', line.severity_number || ''],
    ['Scope', [line.scope.name, line.scope.version].filter(Boolean).join(' ')],
  ]
  return Object.fromEntries(fields.filter(([, v]) => v !== ''))
}

export function Pairs({ title, values }: { title: string; values: Record<string, unknown> }) {
  const keys = Object.keys(values).sort()
  if (keys.length === 0) return null
  return (
    <>
      <h3>{title}</h3>
      <dl className="pairs">
        {keys.map((k) => (
          <div key={k}>
            <dt>{k}</dt>
            <dd>{valueText(values[k])}</dd>
          </div>
        ))}
      </dl>
    </>
  )
}

function TraceLink({ line, whole = false }: { line: LogLine; whole?: boolean }) {
  const href = useHref()
  if (line.trace_id === '') return <span className="dim">–</span>
  return (
    <Link href={href(tracePath(line.trace_id), { span: line.span_id })} aria-label={`Trace ${line.trace_id}`}>
      {whole ? 'its trace' : <code>{line.trace_id.slice(0, 8)}</code>}
    </Link>
  )
}

const columns: Column<Line>[] = [
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

export function LogLines({ lines, empty, label = 'Log lines' }: { lines: readonly Line[]; empty: string; label?: string }) {
  return (
    <div className="lines">
      <Table label={label} rows={lines} columns={columns} rowKey={keyOf} sort="" empty={empty} />
    </div>
  )
}

/** Lines have no id of their own: what they say is one, and its number among its equals. */
export function keyLines(lines: readonly LogLine[]): Line[] {
  const seen = new Map<string, number>()
  return lines.map((line) => {
    const k = `${line.time} ${line.service} ${line.span_id} ${line.event_name} ${line.body}`
    const n = seen.get(k) ?? 0
    seen.set(k, n + 1)
    return { key: `${k} ${n}`, line }
  })
}
