import { Button } from '@mantine/core'
import { createContext, useContext, useState } from 'react'
import { Link } from 'wouter'
import type { LogLine } from '../api/types'
import { ServiceLink } from '../components/bits'
import type { Condition } from '../explore/conditions'
import { valueText } from '../lib/format'
import { tracePath, useHref } from '../lib/url'
import { useCopy } from '../trace/copy'
import { StackTrace } from '../trace/stack-view'
import { withoutEscapes } from './ansi'
import { LineContext } from './context'
import { textOfLine } from './line'

/** Takes a condition into the filters of the page, where it has some. */
export const AddCondition = createContext<((c: Condition) => void) | undefined>(undefined)

const longest = 10_000
const stackKey = 'exception.stacktrace'

/** A line in full: what it says, what it has, the lines around it. */
export function LineDetail({ line, whole }: { line: LogLine; whole: boolean }) {
  const [json, setJSON] = useState(false)
  const [around, setAround] = useState(false)
  const text = textOfLine(line)
  const stack = line.attributes[stackKey]
  return (
    <div className="detail">
      {json ? (
        <pre>{JSON.stringify(line, null, 2)}</pre>
      ) : (
        whole && (
          <pre>
            <bdi>{text.slice(0, longest)}</bdi>
            {text.length > longest && ` … ${text.length - longest} more characters`}
          </pre>
        )
      )}
      <div className="line-actions">
        <Copy label="Copy line" text={text} />
        <Copy label="Copy JSON" text={JSON.stringify(line, null, 2)} />
        <Button aria-pressed={json} onClick={() => setJSON(!json)}>
          {json ? 'Show fields' : 'Show JSON'}
        </Button>
        <Button aria-pressed={around} onClick={() => setAround(!around)}>
          {around ? 'Hide context' : 'Show context'}
        </Button>
        <ServiceLink name={line.service} />
        {line.trace_id !== '' && <TraceLink line={line} whole />}
      </div>
      {around && <LineContext line={line} />}
      {!json && (
        <>
          {typeof stack === 'string' && stack !== '' && (
            <>
              <h3>Stack trace</h3>
              <StackTrace stack={withoutEscapes(stack)} />
            </>
          )}
          <Pairs title="Log record" values={recordOf(line)} />
          <Pairs title="Attributes" values={line.attributes} prefix="" />
          <Pairs title="Resource" values={line.resource} prefix="resource." />
        </>
      )}
    </div>
  )
}

function Copy({ label, text }: { label: string; text: string }) {
  const [copied, copy] = useCopy()
  return <Button onClick={() => copy(text)}>{copied === undefined ? label : 'Copied'}</Button>
}

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

function Pairs({ title, values, prefix }: { title: string; values: Record<string, unknown>; prefix?: string }) {
  const add = useContext(AddCondition)
  const keys = Object.keys(values)
    .filter((k) => k !== stackKey)
    .sort()
  if (keys.length === 0) return null
  return (
    <>
      <h3>{title}</h3>
      <dl className="pairs">
        {keys.map((k) => {
          const v = values[k]
          const value = valueText(v)
          return (
            <div key={k}>
              <dt>
                <bdi>{k}</bdi>
              </dt>
              <dd>
                <bdi>{withoutEscapes(value)}</bdi>
                {add !== undefined && prefix !== undefined && (typeof v !== 'object' || v === null) && (
                  <span className="pair-actions">
                    <button type="button" aria-label={`Filter: ${k}`} onClick={() => add({ key: prefix + k, op: '=', value })}>
                      Filter
                    </button>
                    <button type="button" aria-label={`Exclude: ${k}`} onClick={() => add({ key: prefix + k, op: '!=', value })}>
                      Exclude
                    </button>
                  </span>
                )}
              </dd>
            </div>
          )
        })}
      </dl>
    </>
  )
}

export function TraceLink({ line, whole = false }: { line: LogLine; whole?: boolean }) {
  const href = useHref()
  if (line.trace_id === '') return <span className="dim">–</span>
  return (
    <Link href={href(tracePath(line.trace_id), { span: line.span_id })} aria-label={`Trace ${line.trace_id}`}>
      {whole ? <>Trace</> : <code>{line.trace_id.slice(0, 8)}</code>}
    </Link>
  )
}
