import type { Why } from '../api/types'
import { clock, moment } from '../lib/format'

const reasons: Record<NonNullable<Why['baseline_reason']>, string> = {
  quiet: 'while the rule was quiet',
  day_before: 'the same hour the day before',
  week_before: 'the same hour a week before',
  hour_before: 'the hour before',
  beginning: 'the first that is known',
  asked: 'as chosen',
}

/** What evidence compares with, and why that. */
export function baselineText(w: Why): string {
  const from = Date.parse(w.baseline)
  const to = w.baseline_end ?? w.from
  // Of another day the clock alone would mislead.
  const start = Date.parse(w.at) - from > 20 * 3_600_000 ? moment(from) : clock(w.baseline)
  const reason = w.baseline_reason ? `, ${reasons[w.baseline_reason]}` : ''
  return `${start} to ${clock(to)}${reason}`
}
