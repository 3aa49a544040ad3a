import { expect, test } from 'vitest'
import { isNew, parseSpan, secondsOf, timesOf } from './range'

test('from and to take the place of the range where they make sense', () => {
  expect(parseSpan('', '', '1h')).toEqual({ range: '1h' })
  expect(parseSpan('100', '160', '1h')).toEqual({ from: 100, to: 160 })
  for (const [f, t] of [
    ['160', '100'],
    ['100', ''],
    ['x', '100'],
    ['', '100'],
    ['-5', '100'],
  ] as const)
    expect(parseSpan(f, t, '5m')).toEqual({ range: '5m' })
  expect(secondsOf({ from: 100, to: 160 })).toBe(60)
  expect(secondsOf({ range: '5m' })).toBe(300)
  expect(timesOf({ from: 100, to: 160 })).toEqual({ start: 100, end: 160 })
  expect(timesOf({ range: '5m' }).end).toBeUndefined()
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
