import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  endsNow,
  isNew,
  liveLength,
  newestOf,
  queryOfRange,
  rangeBetween,
  rangeOf,
  rangeOfQuery,
  rangeSeconds,
  secondsOf,
  shifted,
  timesOf,
  zoomedOut,
} from './range'

const now = 1_800_000_000
beforeEach(() => {
  vi.useFakeTimers({ now: now * 1000 })
})
afterEach(() => {
  vi.useRealTimers()
})

const query = (s: string) => rangeOfQuery(new URLSearchParams(s))

test('the range is what the URL says, in one spelling', () => {
  expect(query('')).toBe('15m')
  expect(query('range=1h')).toBe('1h')
  expect(query('range=odd')).toBe('15m')
  expect(query('from=now-6h')).toBe('6h')
  expect(query('from=now-6h&to=now')).toBe('6h')
  expect(query('from=now-6h&range=5m')).toBe('6h')
  expect(query('from=now-2h&to=now-1h')).toBe('now-2h..now-1h')
  expect(query('from=100&to=160')).toBe('100..160')
  expect(query('from=2027-01-15T07:00:00Z&to=2027-01-15T08:00:00Z')).toBe('1799996400..1800000000')
  expect(query('from=1799996400000&to=1800000000000')).toBe('1799996400..1800000000')
})

test.each(['from=160&to=100', 'from=x&to=100', 'from=-5&to=100', 'from=now-500d', 'from=now', 'from=now-1h&to=now-2h'])(
  '%s is no range',
  (q) => {
    expect(query(q)).toBe('15m')
  },
)

test('what the URL says is what is written into it', () => {
  for (const r of ['5m', '400d', 'now-2h..now-1h', '100..160', '1799990000..now']) {
    expect(query(new URLSearchParams(queryOfRange(r) as Record<string, string>).toString())).toBe(r)
  }
  expect(queryOfRange('15m')).toEqual({})
})

test('times of requests', () => {
  expect(timesOf('5m')).toEqual({ start: now - 300 })
  expect(timesOf('100..160')).toEqual({ start: 100, end: 160 })
  expect(timesOf('now-2h..now-1h')).toEqual({ start: now - 7200, end: now - 3600 })
  expect(timesOf('1799990000..now')).toEqual({ start: 1_799_990_000 })
  expect(timesOf({ from: 100, to: 160 })).toEqual({ start: 100, end: 160 })
  expect(secondsOf({ from: 100, to: 160 })).toBe(60)
  expect(rangeSeconds('now-2h..now-1h')).toBe(3600)
})

test('live is what ends now, as far as the server keeps it', () => {
  expect([endsNow('15m'), endsNow('100..now'), endsNow('100..160')]).toEqual([true, true, false])
  expect(liveLength('15m')).toBe('15m')
  expect(liveLength('1d')).toBe('24h')
  expect(liveLength('7d')).toBeUndefined()
  expect(liveLength('100..now')).toBeUndefined()
})

test('what is over is newest at its end', () => {
  expect(newestOf('15m', '2026-11-24T10:00:00Z')).toBe('2026-11-24T10:00:00Z')
  expect(newestOf('100..160', '2026-11-24T10:00:00Z')).toBe('1970-01-01T00:02:40.000Z')
})

test('back and forward by one range', () => {
  expect(shifted('1h', -1)).toBe(`${now - 7200}..${now - 3600}`)
  expect(shifted(`${now - 7200}..${now - 3600}`, -1)).toBe(`${now - 10_800}..${now - 7200}`)
  expect(shifted(`${now - 7200}..${now - 3600}`, 1)).toBe('1h')
  expect(shifted('1h', 1)).toBe('1h')
})

test('zooming', () => {
  expect(rangeBetween(1000.4, 1100.2)).toBe('1000..1101')
  expect(rangeBetween(1000, 1001)).toBe('1000..1010')
  expect(rangeBetween(now - 60, now + 5)).toBe('1m')
  expect(zoomedOut('1000..1100')).toBe('950..1150')
  expect(zoomedOut('1h')).toBe('90m')
  expect(rangeOf('now-400d', '')).toBe('400d')
})

test('new is what was first seen in the range, and not just when counting began', () => {
  const start = Date.parse('2026-11-24T10:00:00Z')
  const at = (s: number) => new Date(start + s * 1000).toISOString()
  expect(isNew(at(5), start, at(0))).toBe(true)
  expect(isNew(at(-5), start, at(0))).toBe(false)
  expect(isNew(null, start, at(0))).toBe(false)
  expect(isNew(at(305), start, at(300))).toBe(false)
  expect(isNew(at(361), start, at(300))).toBe(true)
  expect(isNew(at(5), start, null)).toBe(true)
})
