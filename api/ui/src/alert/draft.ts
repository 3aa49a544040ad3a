import type { ApiError } from '../api/client'
import type { Rule, RuleInput } from '../api/types'

/** A Go duration as people write it: 1m0s is 1m, 0s is nothing. */
export function plainDuration(d: string): string {
  if (d === '0s') return ''
  return d.replace(/(?<=[hm])0s$/, '').replace(/(?<=h)0m$/, '')
}

const unit: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 }

/** Seconds of a duration as Prometheus and Go write them; undefined where it is none. Nothing is 0. */
export function secondsOfDuration(text: string): number | undefined {
  const t = text.trim()
  if (t === '' || t === '0') return 0
  if (!/^(\d+(\.\d+)?(ms|[smhdwy]))+$/.test(t)) return undefined
  let sum = 0
  for (const m of t.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwy])/g)) sum += Number(m[1]) * (unit[m[2] as string] as number)
  return sum
}

/** Seconds as Prometheus writes them: 90 is 90s, 300 is 5m. */
export function promDuration(seconds: number): string {
  for (const [u, n] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
  ] as const) {
    if (seconds >= n && seconds % n === 0) return `${seconds / n}${u}`
  }
  return `${seconds}s`
}

/** A rule as the API takes it back. */
export function inputOf(r: Rule): RuleInput {
  return {
    name: r.name,
    type: r.type,
    expr: r.expr,
    for: r.for,
    keep_firing_for: r.keep_firing_for,
    labels: r.labels,
    annotations: r.annotations,
    enabled: r.enabled,
    group: r.group,
  }
}

export interface Pair {
  id: number
  key: string
  value: string
}

/** What is in the editor's fields. */
export interface Draft {
  name: string
  expr: string
  for: string
  keep: string
  labels: Pair[]
  annotations: Pair[]
  enabled: boolean
  group: string
}

let nextPair = 0
export const pair = (key = '', value = ''): Pair => ({ id: nextPair++, key, value })
const pairs = (of: Record<string, string>): Pair[] => Object.entries(of).map(([k, v]) => pair(k, v))

export const emptyDraft = (): Draft => ({
  name: '',
  expr: '',
  for: '1m',
  keep: '',
  labels: [pair('severity', 'warning')],
  annotations: [pair('summary', '')],
  enabled: true,
  group: '',
})

export function draftOf(r: RuleInput): Draft {
  return {
    name: r.name,
    expr: r.expr,
    for: plainDuration(r.for ?? '0s'),
    keep: plainDuration(r.keep_firing_for ?? '0s'),
    labels: pairs(r.labels ?? {}),
    annotations: pairs(r.annotations ?? {}),
    enabled: r.enabled ?? true,
    group: r.group ?? '',
  }
}

const record = (list: readonly Pair[]): Record<string, string> =>
  Object.fromEntries(list.filter((p) => p.key.trim() !== '' && p.value.trim() !== '').map((p) => [p.key.trim(), p.value.trim()]))

/** What the fields say, as the API takes it; what is empty is left out. */
export function ruleOf(d: Draft): RuleInput {
  const [labels, annotations] = [record(d.labels), record(d.annotations)]
  return {
    name: d.name.trim(),
    type: 'alerting',
    expr: d.expr.trim(),
    ...(d.for.trim() === '' ? {} : { for: d.for.trim() }),
    ...(d.keep.trim() === '' ? {} : { keep_firing_for: d.keep.trim() }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    enabled: d.enabled,
    ...(d.group === '' ? {} : { group: d.group }),
  }
}

export type FieldName = 'name' | 'expr' | 'for' | 'keep' | 'labels' | 'annotations'

/** Which field an error of the API is about, and what it says without what only files need. Undefined: the rule as a whole. */
export function fieldOf(error: Pick<ApiError, 'code' | 'message'>): { field: FieldName | undefined; text: string } {
  const text = error.message
    .replace(/^the rule is not valid: /, '')
    .replace(/^\d+:\d+: /, '')
    .replace(/^group "[^"]*", rule \d+, "[^"]*": /, '')
  if (error.code === 'invalid_duration') {
    return { field: text.startsWith('keep_firing_for') ? 'keep' : 'for', text: text.replace(/^\w+: /, '') }
  }
  if (/^annotation\b|annotation name/.test(text)) return { field: 'annotations', text }
  if (/^label\b|label name|invalid label/.test(text)) return { field: 'labels', text }
  if (/parse expression|parse error|condition of/.test(text))
    return { field: 'expr', text: text.replace(/^could not parse expression: /, '') }
  if (/alert name|rule name|duplicate/.test(text)) return { field: 'name', text }
  return { field: undefined, text }
}
