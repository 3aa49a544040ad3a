import { expect, test } from 'vitest'
import { matcherText, matches, silenceOf } from './matchers'

test('a silence takes the alerts that have all its labels', () => {
  expect(matches({ service: 'cart' }, { alertname: 'A', service: 'cart' })).toBe(true)
  expect(matches({ service: 'cart', alertname: 'B' }, { alertname: 'A', service: 'cart' })).toBe(false)
  expect(matches({ team: '' }, { alertname: 'A' })).toBe(true) // as Alertmanager: an empty label is none
})

test('a silence has its end and its matchers', () => {
  expect(silenceOf({ a: 'b' }, Date.UTC(2026, 0, 1), 3600, 'ann', 'known')).toEqual({
    matchers: [{ name: 'a', value: 'b', isRegex: false, isEqual: true }],
    startsAt: '2026-01-01T00:00:00.000Z',
    endsAt: '2026-01-01T01:00:00.000Z',
    createdBy: 'ann',
    comment: 'known',
  })
})

test('matchers read as Alertmanager writes them', () => {
  const m = { name: 'a', value: 'b' }
  expect([
    matcherText({ ...m, isRegex: false, isEqual: true }),
    matcherText({ ...m, isRegex: true, isEqual: true }),
    matcherText({ ...m, isRegex: false, isEqual: false }),
    matcherText({ ...m, isRegex: true, isEqual: false }),
  ]).toEqual(['a="b"', 'a=~"b"', 'a!="b"', 'a!~"b"'])
})
