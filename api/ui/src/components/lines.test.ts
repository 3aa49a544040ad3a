import { expect, test } from 'vitest'
import type { LogLine } from '../api/types'
import { keyLines, severityOf } from './lines'

test.each([
  ['FATAL', 'error'],
  ['ERROR2', 'error'],
  ['warn', 'warn'],
  ['INFO', 'info'],
  ['TRACE', 'debug'],
  ['', 'other'],
  ['UNSPECIFIED', 'other'],
])('severity %s is %s', (text, want) => {
  expect(severityOf(text)).toBe(want)
})

test('equal lines have keys of their own', () => {
  const line = { time: 't', service: 's', span_id: '', body: 'b' } as LogLine
  const keys = keyLines([line, line, { ...line, body: 'c' }]).map((l) => l.key)
  expect(new Set(keys).size).toBe(3)
  expect(keyLines([line]).map((l) => l.key)).toEqual(keys.slice(0, 1))
})
