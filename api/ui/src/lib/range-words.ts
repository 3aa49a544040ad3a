import { dateOf, duration, minuteOf, secondOf } from './format'
import { endsNow, quickRanges, type Range, rangeEnd, rangeSeconds, rangeStart } from './range'

/** A range as a person says it: Last 15 min; 11-28 03:00 to 04:00. */
export function rangeWords(r: Range): string {
  const quick = quickRanges.find(([q]) => q === r)
  if (quick) return quick[1]
  if (endsNow(r)) return `Last ${duration(rangeSeconds(r) * 1000)}`
  const [a, b] = [rangeStart(r) * 1000, rangeEnd(r) * 1000]
  const clock = a % 60_000 === 0 && b % 60_000 === 0 ? minuteOf : secondOf
  const today = dateOf(Date.now())
  const day = (ms: number) => (dateOf(ms).slice(0, 4) === today.slice(0, 4) ? dateOf(ms).slice(5) : dateOf(ms))
  const first = dateOf(a) === today && dateOf(b) === today ? clock(a) : `${day(a)} ${clock(a)}`
  return `${first} to ${dateOf(a) === dateOf(b) ? clock(b) : `${day(b)} ${clock(b)}`}`
}
