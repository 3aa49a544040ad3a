import type { SpanDifference } from '../api/types'

type Value = SpanDifference['values'][number]

/** A value as it is shown: text, a threshold, or that there is none. */
export function valueText(v: Value): string {
  if (v.is === 'missing') return 'not set'
  if (v.value === '') return '""'
  return v.is === 'at_least' ? `≥ ${v.value}` : v.value
}

/** The first difference in a sentence; undefined where only the failure itself differs. */
export function sentenceOf(list: readonly SpanDifference[], selected: string): string | undefined {
  const first = list[0]
  const v = first?.values[0]
  if (first === undefined || v === undefined || first.outcome) return undefined
  const is = v.is === 'missing' ? 'is not set' : v.is === 'at_least' ? `is at least ${v.value}` : `is ${v.value}`
  return `${first.key} ${is} in ${whole(v.selected_share)} % of the ${selected} spans and in ${whole(v.others_share)} % of the others.`
}

const whole = (share: number) => Math.round(share * 100)
