import type { Tag } from '../api/types'
import { valueText } from '../lib/format'

export interface Attribute {
  key: string
  value: string
  /** What the search for traces takes; undefined where it cannot look for this. */
  filter: string | undefined
}

/** Jaeger's form of a span holds these beside its attributes. A search for attributes does not find them. */
const notAttributes = new Set(['span.kind', 'error', 'w3c.tracestate', 'internal.span.format'])

/** Tags as a list by key. Strings are taken as they are, so that integers of 64 bits, which come as digits, keep every digit. */
export function attributesOf(tags: readonly Tag[], without: readonly string[] = []): Attribute[] {
  return tags
    .filter((t) => !without.includes(t.key))
    .map((t) => ({ key: t.key, value: valueText(t.value), filter: filterOf(t) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
}

function filterOf(t: Tag): string | undefined {
  const value = valueText(t.value)
  if (notAttributes.has(t.key) || t.key.startsWith('otel.') || t.type === 'binary') return undefined
  if (value === '' || /[\s"=!~<>]/.test(t.key) || /["\n]/.test(value) || value.length > 500) return undefined
  return /\s/.test(value) ? `${t.key}="${value}"` : `${t.key}=${value}`
}

export interface Failure {
  type: string
  message: string
  stack: string
}

const text = (tags: readonly Tag[], key: string): string => valueText(tags.find((t) => t.key === key)?.value ?? '')

/** The exceptions of a span, from its events, and else what its status says. */
export function failuresOf(span: { tags: readonly Tag[]; logs: readonly { fields: readonly Tag[] }[] }): Failure[] {
  const out: Failure[] = []
  for (const { fields } of span.logs) {
    const f = {
      type: text(fields, 'exception.type'),
      message: text(fields, 'exception.message'),
      stack: text(fields, 'exception.stacktrace'),
    }
    if (f.type !== '' || f.message !== '' || f.stack !== '') out.push(f)
  }
  const status = text(span.tags, 'otel.status_description')
  if (status !== '' && !out.some((f) => f.message === status)) out.push({ type: '', message: status, stack: '' })
  return out
}
