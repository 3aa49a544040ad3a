import { expect, test } from 'vitest'
import type { TraceSummary } from '../api/types'
import { durationAt, durationTicks, heatOf, regionOf } from './heat'

const trace = (seconds: number, ms: number, failed = 0): TraceSummary => ({
  traceId: `${seconds}`,
  rootServiceName: 'shop',
  rootOperationName: 'Buy',
  minStartTimeUnixNano: `${seconds}000000000`,
  maxEndTimeUnixNano: '0',
  spanCount: 3,
  errorSpanCount: failed,
  duration_ms: ms,
  services: [{ name: 'shop', spanCount: 1, errorSpanCount: failed }],
})

test('traces lie by start and by the logarithm of their duration', () => {
  const h = heatOf([trace(100, 1), trace(150, 99, 2), trace(150, 90), trace(199, 10), trace(300, 5)], 100_000, 200_000, 10, 2)
  expect([h.low, h.high, h.most]).toEqual([1, 100, 2])
  const filled = h.cells.flatMap((c, i) => (c.count > 0 ? [[i % 10, Math.floor(i / 10), c.count, c.failed]] : []))
  expect(filled).toEqual([
    [0, 0, 1, 0],
    [5, 1, 2, 1],
    [9, 1, 1, 0],
  ])
  expect(durationTicks(h)).toEqual([1, 10, 100])
  expect(durationAt(h, 0.5)).toBeCloseTo(10, 6)
})

test('a region is a time and a range of durations', () => {
  const h = heatOf([trace(100, 1), trace(150, 99)], 100_000, 200_000, 10, 2)
  expect(regionOf(h, [0.75, 0.255], [0.5, 0])).toEqual({ from: 125, to: 175, min: '', max: '10000us' })
  expect(regionOf(h, [0.5, 0.5], [0.5, 1])).toEqual({ from: 150, to: 151, min: expect.stringMatching(/^(9999|10000)us$/), max: '' })
})

test('no traces are an empty map', () => {
  const h = heatOf([], 0, 1000, 4, 4)
  expect([h.most, h.low < h.high]).toEqual([0, true])
})
