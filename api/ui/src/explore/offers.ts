import type { Condition } from './conditions'
import { fields, opsOf, opWords, type Stage, tokenText } from './tokens'

/** What the data holds, for completion. */
export interface Suggestions {
  /** Attributes of the spans that match, with how many spans have them. */
  keys: readonly { key: string; count: number }[]
  /** Values of the key that is typed. */
  values: readonly { value: string; count?: number }[]
  services: readonly string[]
  operations: readonly string[]
  loading: boolean
}

export interface Offer {
  /** Unique among those of one moment. */
  id: string
  label: string
  note?: string
  count?: number
  /** The text with the completion, or the complete token. */
  gives: string | Condition
}

const most = 12
const mostValues = 50

/** What completes the text: those that begin with it come before those that hold it. */
export function offersOf(stage: Stage, s: Suggestions): Offer[] {
  if (stage.at === 'op') {
    const { key, part } = stage
    return opsOf(key)
      .filter((op) => (op === '' ? 'exists' : op).startsWith(part) || opWords[op].startsWith(part))
      .map((op) => ({
        id: `op ${op}`,
        label: op === '' ? 'exists' : op,
        note: opWords[op],
        gives: op === '' ? { key, op, value: '' } : `${key} ${op} `,
      }))
  }
  if (stage.at === 'value') {
    const { key, op, part } = stage
    if (op === '~') return [] // an expression is no value
    return matching(valuesOf(key, s), part, (v) => v.value)
      .slice(0, mostValues)
      .map(
        (v): Offer => ({
          id: `value ${v.value}`,
          label: v.value === '' ? '""' : v.value,
          gives: { key, op, value: v.value },
          ...(v.count === undefined ? {} : { count: v.count }),
        }),
      )
  }
  return keyOffers(stage.part, s)
}

function valuesOf(key: string, s: Suggestions): readonly { value: string; count?: number }[] {
  const fixed = fields[key]?.values
  if (fixed !== undefined) return fixed.map((value) => ({ value }))
  const named = key === 'service' ? s.services : key === 'operation' ? s.operations : []
  const seen = new Set(s.values.map((v) => v.value))
  return [...s.values, ...named.filter((n) => !seen.has(n)).map((value) => ({ value }))]
}

function keyOffers(part: string, s: Suggestions): Offer[] {
  const own = Object.entries(fields).map(([key, f]): Offer => ({ id: `key ${key}`, label: key, note: f.note, gives: `${key} ` }))
  const attributes = s.keys.map(({ key, count }): Offer => ({ id: `key ${key}`, label: key, count, gives: `${key} ` }))
  const keys = matching([...own, ...attributes], part, (o) => o.label)
  if (part === '') return keys.slice(0, most)
  const named = (['service', 'operation'] as const).flatMap((key) =>
    matching(key === 'service' ? s.services : s.operations, part, (v) => v)
      .slice(0, 4)
      .map((value): Offer => {
        const gives: Condition = { key, op: '=', value }
        return { id: `token ${key} ${value}`, label: tokenText(gives), gives }
      }),
  )
  const begins = keys.filter((o) => o.label.toLowerCase().startsWith(part.toLowerCase()))
  return [...begins, ...named, ...keys.slice(begins.length)].slice(0, most)
}

function matching<T>(list: readonly T[], part: string, textOf: (one: T) => string): T[] {
  const p = part.toLowerCase()
  if (p === '') return [...list]
  const rank = (t: string) => (t.toLowerCase().startsWith(p) ? 0 : 1)
  return list.filter((o) => textOf(o).toLowerCase().includes(p)).sort((a, b) => rank(textOf(a)) - rank(textOf(b)))
}
