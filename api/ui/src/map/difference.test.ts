import { expect, test } from 'vitest'
import type { Edge } from '../api/types'
import { comparedTimes, earlierBy, kindOf, wordsOf, worse } from './difference'

const counts = (rate: number, error_rate: number, p95_ms: number) => ({
  calls: 10,
  failed: 1,
  rate,
  error_rate,
  p95_ms,
  p95_low_ms: 0,
  p95_high_ms: 0,
})
const edge = (change?: Edge['change']): Edge => ({
  client: 'a',
  server: 'b',
  connection_type: '',
  client_type: 'service',
  server_type: 'service',
  calls: 1,
  failed: 0,
  client_p95_ms: 1,
  server_p95_ms: 1,
  ...(change ? { change } : {}),
})

test('what became of an edge', () => {
  const before = counts(1, 0, 10)
  const now = counts(2.5, 0.12, 900)
  expect(kindOf(edge())).toBe('same')
  expect(kindOf(edge({ what: [], before, now }))).toBe('same')
  expect(kindOf(edge({ what: ['added'], before, now }))).toBe('added')
  expect(kindOf(edge({ what: ['gone'], before }))).toBe('gone')
  const changed = edge({ what: ['rate', 'errors', 'latency'], before, now })
  expect(kindOf(changed)).toBe('changed')
  expect(wordsOf(changed)).toEqual(['rate 1.00 → 2.50 /s', 'failed 0 → 12.0 %', 'p95 10.0 → 900 ms'])
  expect(wordsOf(edge({ what: ['gone'], before }))).toEqual(['gone'])
  expect(wordsOf(edge())).toEqual([])
})

test('worse is more failures or slower; more calls are not', () => {
  const before = counts(1, 0.1, 10)
  expect(worse(edge({ what: ['errors'], before, now: counts(1, 0.2, 10) }))).toBe(true)
  expect(worse(edge({ what: ['errors'], before, now: counts(1, 0.01, 10) }))).toBe(false)
  expect(worse(edge({ what: ['latency'], before, now: counts(1, 0.1, 20) }))).toBe(true)
  expect(worse(edge({ what: ['rate'], before, now: counts(9, 0.1, 20) }))).toBe(false)
})

test('two ranges are compared, whichever they are', () => {
  expect(comparedTimes('before', '1000..1900')).toEqual([100, 1000])
  expect(comparedTimes('hour', '10000..10900')).toEqual([6400, 7300])
  expect(comparedTimes('200..260', '1000..1900')).toEqual([200, 260])
  expect(comparedTimes('260..200', '1000..1900')).toBeUndefined()
  expect(comparedTimes('', '15m')).toBeUndefined()
})

test('ranges that would overlap are not compared', () => {
  expect(earlierBy('before', '15m')).toBe(900)
  expect(earlierBy('hour', '15m')).toBe(3600)
  expect(earlierBy('hour', '6h')).toBe(0)
  expect(earlierBy('day', '6h')).toBe(86_400)
  expect(earlierBy('', '15m')).toBe(0)
  expect(earlierBy('x', '15m')).toBe(0)
})
