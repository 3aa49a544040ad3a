import type { LogLine } from '../api/types'
import { type Condition, paramOf } from '../explore/conditions'
import { valueText } from '../lib/format'

/** What lines are searched for. */
export interface LineFilter {
  service: string
  severity: string
  text: string
  pattern: string
  trace_id: string
  conditions: readonly Condition[]
}

export const levels = ['FATAL', 'ERROR', 'WARN', 'INFO', 'DEBUG', 'TRACE']

/** The parameters of a request for such lines. */
export const queryOf = (f: LineFilter) => ({
  service: f.service,
  severity: levels.includes(f.severity) ? f.severity : undefined,
  text: f.text,
  pattern: f.pattern,
  trace_id: f.trace_id,
  attributes: f.conditions.map(paramOf),
})

/** The lower, the worse; what is no level accepts all. */
const rank = (severity: string): number => {
  const at = levels.indexOf(severity)
  return at < 0 ? levels.length : at
}

/**
 * Whether every line of b is one of a too, and the page can decide which of a's lines are b's: patterns and expressions of the server's
 * own kind it cannot.
 */
export function narrows(a: LineFilter, b: LineFilter): boolean {
  return (
    (a.service === '' || a.service === b.service) &&
    rank(b.severity) <= rank(a.severity) &&
    b.text.toLowerCase().includes(a.text.toLowerCase()) &&
    a.pattern === b.pattern &&
    (a.trace_id === '' || a.trace_id === b.trace_id) &&
    a.conditions.every((c) => has(b, c)) &&
    b.conditions.every((c) => has(a, c) || decidable(c))
  )
}

const has = (f: LineFilter, c: Condition): boolean => f.conditions.some((o) => paramOf(o) === paramOf(c))
const decidable = (c: Condition): boolean => c.op !== '~' || expression(c.value) !== undefined

/** The server's expressions are RE2's; flags within them the browser does not know. */
function expression(text: string): RegExp | undefined {
  try {
    return new RegExp(text, 's')
  } catch {
    return undefined
  }
}

/** Whether a line passes a filter that narrows another one that it has passed. */
export function passes(f: LineFilter, l: LogLine): boolean {
  const text = f.text.toLowerCase()
  return (
    (f.service === '' || l.service === f.service) &&
    (rank(f.severity) === levels.length || rank(l.severity) <= rank(f.severity)) &&
    (l.body.toLowerCase().includes(text) || l.event_name.toLowerCase().includes(text)) &&
    (f.trace_id === '' || l.trace_id === f.trace_id) &&
    f.conditions.every((c) => fulfils(l, c))
  )
}

function fulfils(l: LogLine, c: Condition): boolean {
  const v = l.attributes[c.key] ?? l.resource[c.key] ?? l.resource[c.key.replace(/^resource\./, '')]
  if (v === undefined) return false
  const value = valueText(v)
  switch (c.op) {
    case '':
      return true
    case '=':
      return value === c.value
    case '!=':
      return value !== c.value
    case '~':
      return expression(c.value)?.test(value) ?? false
  }
  if (value.trim() === '') return false
  const [n, limit] = [Number(value), Number(c.value)]
  return c.op === '>' ? n > limit : c.op === '>=' ? n >= limit : c.op === '<' ? n < limit : n <= limit
}
