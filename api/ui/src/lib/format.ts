import { zoneName } from './zone'

// Numbers as a reader compares them: at most three significant digits, the unit in the column's header.

export const none = '–'

const whole = new Intl.NumberFormat('en')
const plain = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })

/** 0.0123, 1.23, 12.3, 123, 1,230 */
export function sig3(n: number): string {
  if (!Number.isFinite(n)) return none
  if (n === 0) return '0'
  if (Math.abs(n) < 0.001) return n < 0 ? '>-0.001' : '<0.001'
  return plain.format(n)
}

const scales: [number, string][] = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'K'],
]

/** A count: exact below 1,000, then 1.23K, 12.3M. */
export function count(n: number): string {
  if (!Number.isFinite(n)) return none
  for (const [scale, suffix] of scales) {
    // 999,950 rounds up to the next scale
    if (Math.abs(n) >= scale * 0.9995) return plain.format(n / scale) + suffix
  }
  return sig3(n)
}

export function exact(n: number): string {
  return Number.isFinite(n) ? whole.format(n) : none
}

/** A share from 0 to 1 as per cent, without the sign. What is not zero never reads as zero. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return none
  const p = share * 100
  if (p === 0) return '0'
  if (p < 0.01) return '<0.01'
  if (p < 10) return p.toFixed(2)
  if (p < 99.95) return p.toFixed(1)
  return '100'
}

/** A rate per second. Two places below 10, so that columns do not dance. */
export function rate(n: number): string {
  if (!Number.isFinite(n)) return none
  if (n === 0) return '0'
  if (n < 0.01) return '<0.01'
  if (n < 9.995) return n.toFixed(2)
  if (n < 99.95) return n.toFixed(1)
  return count(Math.round(n))
}

/** Milliseconds. */
export function millis(n: number): string {
  if (!Number.isFinite(n)) return none
  if (n === 0) return '0'
  if (n < 0.01) return '<0.01'
  if (n < 9.995) return n.toFixed(2)
  if (n < 99.95) return n.toFixed(1)
  return plain.format(n)
}

/** A length of time in the largest unit that keeps it readable: 0.4 s, 12 s, 3 min, 2 h 5 min. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return none
  const s = Math.max(0, ms) / 1000
  if (s < 0.95) return `${Math.round(s * 1000)} ms`
  if (s < 9.95) return `${s.toFixed(1)} s`
  if (s < 90) return `${Math.round(s)} s`
  const min = Math.round(s / 60)
  if (min < 90) return `${min} min`
  const h = Math.floor(min / 60)
  if (h < 48) return min % 60 === 0 ? `${h} h` : `${h} h ${min % 60} min`
  return `${Math.floor(h / 24)} d`
}

/** How long ago, in whole seconds or more: what updates each second should not dance in tenths. */
export function age(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000))
  return s < 1 ? 'now' : `${s < 90 ? `${s} s` : duration(s * 1000)} ago`
}

export function bytes(n: number): string {
  if (!Number.isFinite(n)) return none
  for (const [scale, suffix] of [
    [1 << 30, 'GiB'],
    [1 << 20, 'MiB'],
    [1 << 10, 'KiB'],
  ] as [number, string][]) {
    if (n >= scale) return `${plain.format(n / scale)} ${suffix}`
  }
  return `${n} B`
}

const day: Intl.DateTimeFormatOptions = { year: 'numeric', month: '2-digit', day: '2-digit' }
const time: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit' }
const shapes = {
  absolute: { ...day, ...time, timeZoneName: 'short' },
  moment: { ...day, ...time },
  clock: time,
  minute: { hour: '2-digit', minute: '2-digit' },
  date: day,
} satisfies Record<string, Intl.DateTimeFormatOptions>

const formatters = new Map<string, Intl.DateTimeFormat>()

/** Formatters are kept: to make one takes a hundred times as long as to use it, and rows do so each second. */
function formatter(shape: keyof typeof shapes): Intl.DateTimeFormat {
  const timeZone = zoneName()
  const key = `${shape} ${timeZone}`
  let f = formatters.get(key)
  if (f === undefined) {
    f = new Intl.DateTimeFormat('sv', { ...shapes[shape], ...(timeZone ? { timeZone } : {}) })
    formatters.set(key, f)
  }
  return f
}

/** The date: 2026-11-26 */
export function dateOf(ms: number): string {
  return formatter('date').format(ms)
}

/** The time of day, to the minute: 10:42 */
export function minuteOf(ms: number): string {
  return formatter('minute').format(ms)
}

/** The time of day, to the second: 10:42:07 */
export function secondOf(ms: number): string {
  return formatter('clock').format(ms)
}

/** Absolute time in the zone chosen, with the zone. */
export function absolute(iso: string): string {
  const d = new Date(iso)
  if (Number.isNaN(d.getTime())) return none
  return formatter('absolute').format(d)
}

/** A moment without its zone: 2026-11-26 10:42:07 */
export function moment(ms: number): string {
  return formatter('moment').format(ms)
}

/** The time of day, to the second: 10:42:07 */
export function clock(iso: string): string {
  const ms = Date.parse(iso)
  return Number.isNaN(ms) ? none : formatter('clock').format(ms)
}

/** A value of an alert: a number, or the words NaN, +Inf, -Inf. */
export function alertValue(v: unknown): string {
  if (typeof v === 'number') return Math.abs(v) >= 1e5 ? count(v) : sig3(v)
  return typeof v === 'string' ? v : none
}

/** SPAN_KIND_SERVER -> server */
export function spanKind(kind: string): string {
  return kind.replace(/^SPAN_KIND_/, '').toLowerCase()
}

/** How long a span or a trace took, with its unit: 0.42 ms, 12.3 ms, 1.20 s, 2 min. */
export function took(ms: number): string {
  if (!Number.isFinite(ms)) return none
  if (ms > 0 && ms < 0.01) return `${plain.format(ms * 1000)} µs`
  if (ms < 999.5) return `${millis(ms)} ms`
  return ms < 90_000 ? `${sig3(ms / 1000)} s` : duration(ms)
}

/** The time of day with milliseconds: 10:42:07.123 */
export function timeOfDay(iso: string): string {
  const d = new Date(iso)
  if (Number.isNaN(d.getTime())) return none
  return `${formatter('clock').format(d)}.${String(d.getMilliseconds()).padStart(3, '0')}`
}

/** A value of an attribute as text. */
export function valueText(v: unknown): string {
  return typeof v === 'string' ? v : (JSON.stringify(v) ?? '')
}

/**
 * Attributes as they are typed: `http.route=/cart env="a b"`. A value with blanks is put in quotes. Text without = is no attribute
 * and is left out.
 */
export function parseAttributes(text: string): string[] {
  const out: string[] = []
  for (const m of text.matchAll(/([^\s=]+)=(?:"([^"]*)"|(\S*))/g)) {
    const value = m[2] ?? m[3] ?? ''
    if (value !== '') out.push(`${m[1]}=${value}`)
  }
  return out
}
