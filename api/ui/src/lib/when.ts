import { type Range, rangeBetween, rangeOf } from './range'
import type { Zone } from './zone'

const day = 86_400_000
const unitMs: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: day, w: 7 * day }
const unitOf: Record<string, string> = { sec: 's', second: 's', min: 'm', minute: 'm', hour: 'h', hr: 'h', day: 'd', week: 'w' }

/** A moment from parts of a clock in the zone, in ms. */
export function momentOf(zone: Zone, y: number, mo: number, d: number, h = 0, mi = 0, s = 0): number {
  return zone === 'utc' ? Date.UTC(y, mo, d, h, mi, s) : new Date(y, mo, d, h, mi, s).getTime()
}

function midnight(zone: Zone, now: number, daysAgo: number): [number, number, number] {
  const t = new Date(now)
  const [y, m, d] = zone === 'utc' ? [t.getUTCFullYear(), t.getUTCMonth(), t.getUTCDate()] : [t.getFullYear(), t.getMonth(), t.getDate()]
  const at = new Date(Date.UTC(y, m, d - daysAgo))
  return [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()]
}

/** 3am, 15:04, 1:10:30, noon: hours, minutes, seconds. */
function clockOf(text: string): [number, number, number] | undefined {
  if (text === 'noon') return [12, 0, 0]
  if (text === 'midnight') return [0, 0, 0]
  const m = /^(\d{1,2})(?::(\d{2}))?(?::(\d{2}))? ?(am|pm)?$/.exec(text)
  if (m === null || (m[2] === undefined && m[4] === undefined)) return undefined
  let h = Number(m[1])
  const [mi, s] = [Number(m[2] ?? 0), Number(m[3] ?? 0)]
  if (m[4]) {
    if (h < 1 || h > 12) return undefined
    h = (h % 12) + (m[4] === 'pm' ? 12 : 0)
  }
  return h < 24 && mi < 60 && s < 60 ? [h, mi, s] : undefined
}

/** 90m, 2 hours, 1 day: in ms. */
function spanOf(text: string): number | undefined {
  const m = /^(\d{1,6}) ?([a-z]+?)s?$/.exec(text)
  if (m === null) return undefined
  const unit = unitMs[m[2] as string] ?? unitMs[unitOf[m[2] as string] ?? '']
  return unit === undefined ? undefined : Number(m[1]) * unit
}

/** A moment as it is typed, in ms: `now`, `2h ago`, `yesterday 3am`, `2026-11-29 01:10`, `01:10`, ISO, Unix seconds. */
export function momentOfText(text: string, now: number, zone: Zone): number | undefined {
  const t = text.trim().toLowerCase().replace(/\s+/g, ' ').replace(/ at /, ' ')
  if (t === 'now') return now
  const ago = /^(?:now ?- ?(.+)|(.+) ago)$/.exec(t)
  if (ago) {
    const ms = spanOf((ago[1] ?? ago[2] ?? '').trim())
    return ms === undefined ? undefined : now - ms
  }
  const named = /^(today|yesterday)(?: (.+))?$/.exec(t)
  if (named) {
    const at = named[2] === undefined ? ([0, 0, 0] as const) : clockOf(named[2])
    return at && momentOf(zone, ...midnight(zone, now, named[1] === 'yesterday' ? 1 : 0), ...at)
  }
  const date = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[ t](.+))?$/.exec(t)
  if (date) {
    if (/[tT].*(z|[+-]\d\d:?\d\d)$/i.test(t)) {
      const iso = Date.parse(text.trim())
      return Number.isNaN(iso) ? undefined : iso
    }
    const at = date[4] === undefined ? ([0, 0, 0] as const) : clockOf(date[4])
    const [y, m, d] = [Number(date[1]), Number(date[2]) - 1, Number(date[3])]
    return at && m < 12 && d >= 1 && d <= 31 ? momentOf(zone, y, m, d, ...at) : undefined
  }
  if (/^\d{9,11}$/.test(t)) return Number(t) * 1000
  if (/^\d{12,14}$/.test(t)) return Number(t)
  const at = clockOf(t)
  if (at === undefined) return undefined
  const ms = momentOf(zone, ...midnight(zone, now, 0), ...at)
  return ms > now ? momentOf(zone, ...midnight(zone, now, 1), ...at) : ms // what is yet to come was meant of yesterday
}

/** The end of a range that begins at `from`: a time of day alone is the next one after that. */
function endOfText(text: string, from: number, now: number, zone: Zone): number | undefined {
  const at = clockOf(text.trim())
  if (at === undefined) return momentOfText(text, now, zone)
  const [same, next] = [0, -1].map((days) => momentOf(zone, ...midnight(zone, from, days), ...at)) as [number, number]
  if (same > from) return same
  return next <= now ? next : undefined
}

/** A range as it is typed: `90m`, `last 24 h`, `yesterday`, `yesterday 3am`, `01:10 to 01:40`, `2026-11-29 01:10`. */
export function rangeOfText(text: string, now: number, zone: Zone): Range | undefined {
  const t = text.trim().toLowerCase().replace(/\s+/g, ' ')
  const last = spanOf(t.replace(/^(last|past) /, '').replace(/^(hour|day|week|minute)$/, '1 $1'))
  if (last !== undefined) return rangeOf(`now-${last / 1000}s`, 'now') && rangeBetween((now - last) / 1000, now / 1000)
  const two = /^(?:from )?(.+?)(?: to | until | \.\. | – | - )(.+)$/.exec(t)
  if (two) {
    const a = momentOfText(two[1] as string, now, zone)
    const b = a === undefined ? undefined : endOfText(two[2] as string, a, now, zone)
    return a === undefined || b === undefined || b <= a ? undefined : rangeBetween(a / 1000, b / 1000)
  }
  const at = momentOfText(t, now, zone)
  if (at === undefined || at >= now) return undefined
  // A day is the whole day; another moment is where the range begins.
  if (t === 'yesterday') return rangeBetween(at / 1000, at / 1000 + 86_400)
  if (/^\d{4}-\d{1,2}-\d{1,2}$/.test(t)) return rangeBetween(at / 1000, at / 1000 + 86_400)
  if (t === 'today' || / ago$|^now/.test(t)) return rangeBetween(at / 1000, now / 1000)
  return rangeBetween(at / 1000, Math.min(now, at + 3_600_000) / 1000)
}
