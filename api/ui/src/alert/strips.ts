import type { BacktestSeries, BacktestSummary } from '../api/types'
import { dateOf, duration, minuteOf } from '../lib/format'

/** A stretch of a strip: where it begins and ends, as shares of the strip's length. */
export interface Stretch {
  state: 'pending' | 'firing'
  from: number
  to: number
  /** The same as times, in ms since 1970. */
  begin: number
  end: number
}

/** When one alert would have been pending and firing between start and end (ms). What has not ended by then ends there. */
export function stretchesOf(transitions: BacktestSeries['transitions'], start: number, end: number): Stretch[] {
  const out: Stretch[] = []
  const whole = Math.max(1, end - start)
  const close = (state: string, begin: number, until: number) => {
    if ((state !== 'pending' && state !== 'firing') || until <= begin) return
    out.push({ state, from: (begin - start) / whole, to: (until - start) / whole, begin, end: until })
  }
  let [state, since] = ['inactive', start]
  for (const t of transitions) {
    const at = Math.min(end, Math.max(start, Date.parse(t.time)))
    close(state, since, at)
    state = t.to
    since = at
  }
  close(state, since, end)
  return out
}

/** The one that fires longest first, then the one that is pending longest. */
export function byTrouble(a: BacktestSeries, b: BacktestSeries): number {
  return b.summary.firing_s - a.summary.firing_s || b.summary.pending_s - a.summary.pending_s || (a.rule_id < b.rule_id ? -1 : 1)
}

const times = (n: number): string => (n === 1 ? 'once' : n === 2 ? 'twice' : `${n} times`)
const many = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

/** What would have been, in a sentence. */
export function wouldWords(s: BacktestSummary, notifications: number): string {
  if (s.fired === 0) {
    if (s.firing_s > 0) return `was firing from the begin, ${duration(s.firing_s * 1000)} in total, ${many(notifications, 'notification')}`
    const pending = s.pending_s > 0 ? `; it was pending for ${duration(s.pending_s * 1000)}` : ''
    return `would not have fired${pending}`
  }
  const long = s.fired > 1 ? `, ${duration(s.longest_s * 1000)} at the longest` : ''
  return `would have fired ${times(s.fired)}, ${duration(s.firing_s * 1000)} in total${long}, ${many(s.flaps, 'flap')}, ${many(notifications, 'notification')}`
}

/** A strip in words, for screen readers. */
export function stripWords(stretches: readonly Stretch[], time: (ms: number) => string): string {
  if (stretches.length === 0) return 'never active'
  const words = stretches.slice(0, 20).map((s) => `${s.state} ${time(s.begin)} to ${time(s.end)}`)
  return words.join(', ') + (stretches.length > 20 ? ` and ${stretches.length - 20} more` : '')
}

const day = 86_400_000

/** Times to write below a strip: four at even distances; with the day where the range is longer than one. */
export function ticksOf(start: number, end: number): { at: number; label: string }[] {
  const long = end - start > day
  return [0, 1 / 4, 1 / 2, 3 / 4, 1].map((at) => {
    const d = new Date(start + at * (end - start))
    return { at, label: long ? `${dateOf(d.getTime()).slice(5)} ${minuteOf(d.getTime())}` : minuteOf(d.getTime()) }
  })
}

/** Other thresholds worth a look: around the one there is. */
export function thresholdsAround(threshold: number): number[] {
  if (threshold === 0) return [1, 5, 10]
  return [0.5, 0.75, 1.25, 1.5, 2].map((f) => Number((threshold * f).toPrecision(3))).sort((a, b) => a - b)
}

/** Other times to hold, in seconds, without the one there is. */
export function holdsAround(seconds: number): number[] {
  return [0, 60, 300, 900].filter((s) => s !== seconds)
}
