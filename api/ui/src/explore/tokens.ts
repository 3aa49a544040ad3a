// The filters of traces as tokens: a key, an operator and a value. Most are conditions on attributes; a few keys are fields of their own, with
// parameters of their own in the URL.

import { type Condition, parseConditions, textOf } from './conditions'

/** The URL's parameters that tokens are made of. */
export interface TokenParams {
  service: string
  operation: string
  status: string
  /** Durations of the trace, and of the span. */
  min: string
  max: string
  spanmin: string
  spanmax: string
  attrs: string
}

export interface Tokens {
  list: Condition[]
  /** What is wrong with the text; the list is then not complete. */
  problem: string | undefined
}

type Op = Condition['op']

/** Keys that are no attributes, with the operators that they take. */
export const fields: Record<string, { note: string; ops: Op[]; hint: string; values?: string[] }> = {
  service: { note: 'Service of the span', ops: ['=', '!=', '~'], hint: 'service = payment' },
  operation: { note: 'Name of the span', ops: ['=', '!=', '~'], hint: 'operation = POST /checkout' },
  status: { note: 'Whether the span failed', ops: ['=', '!='], hint: 'status = failed', values: ['failed', 'ok'] },
  duration: { note: 'Duration of the span', ops: ['>=', '<='], hint: 'duration >= 150ms', values: ['10ms', '100ms', '500ms', '1s'] },
  'trace.duration': {
    note: 'Duration of the whole trace',
    ops: ['>=', '<='],
    hint: 'trace.duration >= 2s',
    values: ['100ms', '500ms', '1s', '5s'],
  },
}

const durations = ['duration', 'trace.duration']

export const operators: Op[] = ['=', '!=', '~', '>=', '<=', '>', '<', '']

export const opWords: Record<Op, string> = {
  '=': 'is',
  '!=': 'is not',
  '~': 'matches the regular expression',
  '>=': 'is at least',
  '<=': 'is at most',
  '>': 'is greater than',
  '<': 'is less than',
  '': 'has any value',
}

export const opsOf = (key: string): Op[] => fields[key]?.ops ?? operators

/** Names by which fields are known as attributes. */
const aliases: Record<string, string> = { 'service.name': 'service', 'resource.service.name': 'service', 'span.name': 'operation' }

/** A token in its one spelling, or what is wrong with it. */
export function normal(c: Condition): Condition | string {
  const key = aliases[c.key] ?? c.key
  const field = fields[key]
  if (field === undefined) return c
  const op = c.op === '>' && field.ops.includes('>=') ? '>=' : c.op === '<' && field.ops.includes('<=') ? '<=' : c.op
  if (op === '') return `Every span has ${key === 'status' || key === 'trace.duration' ? 'a' : 'its'} ${key}. Write ${field.hint}.`
  if (!field.ops.includes(op)) return `${key} takes ${field.ops.join(' or ')}, not ${op}. Write ${field.hint}.`
  if (key === 'status') {
    const failed = /^(failed|error)$/i.test(c.value)
    if (!failed && !/^(ok|not failed)$/i.test(c.value)) return `status is failed or ok, not "${c.value}".`
    return { key, op: '=', value: failed === (op === '=') ? 'failed' : 'ok' }
  }
  if (field.ops.includes('>=')) {
    const value = durationOf(c.value)
    if (value === undefined) return `"${c.value}" is not a duration. Write ${field.hint}.`
    return { key, op, value }
  }
  if (c.value === '') return `${key} needs a value. Write ${field.hint}.`
  return { key, op, value: c.value }
}

/** A bare number is milliseconds to who types it, and microseconds to the server. */
export function durationOf(text: string): string | undefined {
  const t = text.replaceAll(' ', '').replaceAll('µ', 'u')
  if (/^\d+(\.\d+)?$/.test(t)) return `${t}ms`
  return /^(\d+(\.\d+)?(ns|us|ms|s|m|h))+$/.test(t) ? t : undefined
}

const wordsAhead = /\s[^\s=!~<>"]+\s*(!=|>=|<=|=|~|>|<)/

/** Tokens as they are typed or pasted. The value of a single token may hold blanks without quotes. */
export function parseTokens(text: string): Tokens {
  const t = text.replace(/\s+/g, ' ').trim()
  const one = /^([^\s=!~<>"]+)\s*(!=|>=|<=|=|~|>|<)\s*([^"]+)$/.exec(t)
  if (one !== null && !wordsAhead.test(one[3] as string) && !/ exists$/.test(t)) {
    const [, key = '', op = '', value = ''] = one
    return checked(parseConditions(textOf([{ key, op: op as Op, value }]), durations))
  }
  return checked(parseConditions(t, durations))
}

function checked({ list, problem }: Tokens): Tokens {
  const out: Condition[] = []
  for (const c of list) {
    const n = normal(c)
    if (typeof n === 'string') return { list: out, problem: n }
    out.push(n)
  }
  return { list: out, problem }
}

/** A token as it would be typed. */
export function tokenText(c: Condition): string {
  if (c.op === '') return `${c.key} exists`
  return `${c.key} ${c.op} ${/^$|["]|\s\S+\s*(!=|>=|<=|=|~|>|<)/.test(c.value) ? `"${c.value.replace(/(["\\])/g, '\\$1')}"` : c.value}`
}

export const same = (a: Condition, b: Condition): boolean => a.key === b.key && a.op === b.op && a.value === b.value

/** Whether one span can fulfil only one of the two: the later one then takes the place of the earlier. */
const replaces = (a: Condition, b: Condition): boolean =>
  a.key === b.key && (a.key in fields ? a.op === b.op && (a.op !== '!=' || a.value === b.value) : same(a, b))

/** The list with a token in its place; of those that exclude each other the new one stays. */
export function withToken(list: readonly Condition[], c: Condition): Condition[] {
  const at = list.findIndex((o) => replaces(o, c))
  if (at < 0) return [...list, c]
  return list.map((o, i) => (i === at ? c : o)).filter((o, i) => i === at || !replaces(o, c))
}

/** The tokens of a URL. A problem concerns the attributes. */
export function tokensOf(p: TokenParams): Tokens {
  const list: Condition[] = []
  if (p.service !== '') list.push({ key: 'service', op: '=', value: p.service })
  if (p.operation !== '') list.push({ key: 'operation', op: '=', value: p.operation })
  if (p.status === 'error' || p.status === 'ok') list.push({ key: 'status', op: '=', value: p.status === 'error' ? 'failed' : 'ok' })
  for (const [key, op, text] of [
    ['duration', '>=', p.spanmin],
    ['duration', '<=', p.spanmax],
    ['trace.duration', '>=', p.min],
    ['trace.duration', '<=', p.max],
  ] as const)
    if (text !== '') list.push({ key, op, value: durationOf(text) ?? text })
  const { list: attributes, problem } = parseConditions(p.attrs)
  for (const c of attributes) {
    const n = normal(c)
    list.push(typeof n === 'string' ? c : n)
  }
  return { list, problem }
}

/** The parameters of a URL with these tokens. */
export function paramsOf(list: readonly Condition[]): TokenParams {
  const p: TokenParams = { service: '', operation: '', status: '', min: '', max: '', spanmin: '', spanmax: '', attrs: '' }
  const attributes: Condition[] = []
  for (const c of list) {
    if (c.key === 'service' && c.op === '=' && p.service === '') p.service = c.value
    else if (c.key === 'operation' && c.op === '=' && p.operation === '') p.operation = c.value
    else if (c.key === 'service') attributes.push({ ...c, key: 'resource.service.name' })
    else if (c.key === 'operation') attributes.push({ ...c, key: 'span.name' })
    else if (c.key === 'status') p.status = c.value === 'failed' ? 'error' : 'ok'
    else if (c.key === 'duration') p[c.op === '>=' ? 'spanmin' : 'spanmax'] = c.value
    else if (c.key === 'trace.duration') p[c.op === '>=' ? 'min' : 'max'] = c.value
    else attributes.push(c)
  }
  p.attrs = textOf(attributes)
  return p
}

/** Where the text that is typed stands: in a key, an operator or a value. */
export type Stage =
  | { at: 'key'; part: string }
  | { at: 'op'; key: string; part: string }
  | { at: 'value'; key: string; op: Op; part: string }

export function stageOf(text: string): Stage {
  const value = /^\s*([^\s=!~<>"]+)\s*(!=|>=|<=|=|~|>|<)\s*(.*)$/.exec(text)
  if (value !== null) {
    const [, key = '', op = '', part = ''] = value
    return { at: 'value', key, op: op as Op, part: part.replace(/^"|"$/g, '') }
  }
  const op = /^\s*([^\s=!~<>"]+)(\s+\S*|!)$/.exec(text)
  if (op !== null) return { at: 'op', key: op[1] as string, part: (op[2] as string).trim() }
  return { at: 'key', part: text.trim() }
}
