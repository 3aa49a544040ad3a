import type { DashboardVariable } from '../api/types'
import { lengthText, type Range, rangeEnd, rangeSeconds, rangeStart } from '../lib/range'
import { stepsOf } from '../promql/queries'

/** The value of the URL that stands for all values. */
export const allValues = '$__all'

export type Chosen = Record<string, readonly string[]>

/** A variable and its value where something is written with it. */
interface Known {
  values: readonly string[]
  /** Its value is written as a regular expression. */
  pattern: boolean
}

export type Scope = ReadonlyMap<string, Known>

const reference = /\$(\w+)|\$\{(\w+)(?:\.[^:}]*)?(?::([^}]*))?\}|\[\[(\w+)(?::([^\]]*))?\]\]/g

// Within a string of PromQL a backslash is written twice.
const asPattern = (v: string): string => v.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]+?.()|"]/g, (c) => (c === '"' ? '\\"' : `\\\\${c}`))
const asText = (v: string): string => v.replace(/\\/g, '\\\\').replace(/"/g, '\\"')

/** The values of variables, and the times of a range as durations and numbers. */
export function scopeOf(variables: readonly DashboardVariable[], chosen: Chosen, range: Range): Scope {
  const out = new Map<string, Known>(Object.entries(timesOf(range)).map(([name, v]) => [name, { values: [v], pattern: false }]))
  for (const v of variables) out.set(v.name, { values: chosen[v.name] ?? [], pattern: v.type !== 'text' && ((v.multi || v.all) ?? false) })
  return out
}

/** Long enough that metrics which are exported each minute have two samples in it. */
const shortestRate = 150

function timesOf(range: Range): Record<string, string> {
  const { step } = stepsOf(range)
  const length = Math.round(rangeSeconds(range))
  return {
    __interval: `${step}s`,
    __interval_ms: String(step * 1000),
    __rate_interval: `${Math.max(shortestRate, step + 60)}s`,
    __range: lengthText(length),
    __range_s: String(length),
    __range_ms: String(length * 1000),
    __from: String(Math.round(rangeStart(range) * 1000)),
    __to: String(Math.round(rangeEnd(range) * 1000)),
  }
}

/** An expression with its variables replaced. What is no variable stays. */
export function interpolated(text: string, scope: Scope): string {
  return text.replace(reference, (whole, a?: string, b?: string, format?: string, c?: string, format2?: string) => {
    const known = scope.get((a ?? b ?? c) as string)
    if (known === undefined) return whole
    return written(known, format ?? format2)
  })
}

function written({ values, pattern }: Known, format: string | undefined): string {
  if (values.includes(allValues)) return '.*'
  switch (format) {
    case 'raw':
    case 'csv':
      return values.join(',')
    case 'pipe':
      return values.join('|')
    case 'doublequote':
      return values.map((v) => `"${asText(v)}"`).join(',')
  }
  if (!pattern && format !== 'regex') return values.map(asText).join(',')
  const list = values.map(asPattern)
  return list.length === 1 ? (list[0] as string) : `(${list.join('|')})`
}

/** A title with its variables replaced. */
export function titleWith(text: string, scope: Scope): string {
  return text.replace(reference, (whole, a?: string, b?: string, _?: string, c?: string) => {
    const values = scope.get((a ?? b ?? c) as string)?.values
    if (values === undefined) return whole
    return values.includes(allValues) ? 'all' : values.join(', ')
  })
}

/** Values that a regular expression keeps; its first group is the value. */
export function filtered(values: readonly string[], regex: string | undefined): string[] {
  if (!regex) return [...values]
  let re: RegExp
  try {
    re = new RegExp(regex)
  } catch {
    return [...values]
  }
  const found = values.flatMap((v) => {
    const m = re.exec(v)
    return m === null ? [] : [m[1] ?? m[0]]
  })
  return [...new Set(found)]
}

/** The values of a variable: those of the URL, else its default, else all or the first that is offered. */
export function valuesOf(v: DashboardVariable, inURL: readonly string[], offered: readonly string[] | undefined): readonly string[] {
  if (inURL.length > 0) return v.multi ? inURL : inURL.slice(0, 1)
  if (v.default && v.default.length > 0) return v.multi ? v.default : v.default.slice(0, 1)
  if (v.all) return [allValues]
  return offered?.slice(0, 1) ?? []
}

/** The name of a series by a template: {{label}} is the value of a label. */
export function legendOf(template: string, metric: Record<string, string>, scope: Scope): string {
  return titleWith(template, scope).replace(/\{\{\s*([^}]+?)\s*\}\}/g, (_, label: string) => metric[label] ?? '')
}
