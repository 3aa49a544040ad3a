import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { momentOfText, rangeOfText } from './when'

const now = Date.parse('2026-11-29T10:30:00Z')
const iso = (text: string) => {
  const ms = momentOfText(text, now, 'utc')
  return ms === undefined ? undefined : new Date(ms).toISOString().slice(0, 19)
}

beforeEach(() => {
  vi.useFakeTimers({ now })
})
afterEach(() => {
  vi.useRealTimers()
})

test.each([
  ['now', '2026-11-29T10:30:00'],
  ['90m ago', '2026-11-29T09:00:00'],
  ['2 hours ago', '2026-11-29T08:30:00'],
  ['now-1d', '2026-11-28T10:30:00'],
  ['today', '2026-11-29T00:00:00'],
  ['yesterday 3am', '2026-11-28T03:00:00'],
  ['Yesterday at 15:04', '2026-11-28T15:04:00'],
  ['2026-11-29 01:10', '2026-11-29T01:10:00'],
  ['2026-11-29T01:10:30', '2026-11-29T01:10:30'],
  ['2026-11-29T01:10:00+02:00', '2026-11-28T23:10:00'],
  ['01:10', '2026-11-29T01:10:00'],
  ['23:00', '2026-11-28T23:00:00'],
  ['12am', '2026-11-29T00:00:00'],
  ['1795947000', '2026-11-29T10:10:00'],
])('%s', (text, want) => {
  expect(iso(text)).toBe(want)
})

test.each(['', 'soon', '25:00', '13pm', '3', 'yesterday 26:00', '2026-13-01', '2 moons ago'])('%s is no moment', (text) => {
  expect(momentOfText(text, now, 'utc')).toBeUndefined()
})

const s = (t: string) => Date.parse(`${t}Z`) / 1000

test.each([
  ['90m', '90m'],
  ['last 24 h', '1d'],
  ['last hour', '1h'],
  ['2 days', '2d'],
  ['3h ago', '3h'],
  ['yesterday', `${s('2026-11-28T00:00')}..${s('2026-11-29T00:00')}`],
  ['yesterday 3am', `${s('2026-11-28T03:00')}..${s('2026-11-28T04:00')}`],
  ['01:10 to 01:40', `${s('2026-11-29T01:10')}..${s('2026-11-29T01:40')}`],
  ['2026-11-27 01:10 to 01:40', `${s('2026-11-27T01:10')}..${s('2026-11-27T01:40')}`],
  ['23:00 to 1am', `${s('2026-11-28T23:00')}..${s('2026-11-29T01:00')}`],
  ['2026-11-28', `${s('2026-11-28T00:00')}..${s('2026-11-29T00:00')}`],
  ['2026-11-28 01:10 to now', '2000m'],
  ['today', '630m'],
])('the range %s', (text, want) => {
  expect(rangeOfText(text, now, 'utc')).toBe(want)
})

test.each(['nothing', '500d', '10:00 to 09:00', 'tomorrow'])('%s is no range', (text) => {
  expect(rangeOfText(text, now, 'utc')).toBeUndefined()
})
