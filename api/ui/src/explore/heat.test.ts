import { expect, test } from 'vitest'
import { durationAt, durationTicks, heatOf, heatSentence, regionOf } from './heat'

const time = (seconds: number) => new Date(seconds * 1000).toISOString()
const cell = (row: number, traces: number, failed = 0) => ({ row, min_ms: 0, max_ms: 0, traces, failed })
const answer = (...columns: { time: string; cells: ReturnType<typeof cell>[] }[]) => ({
  start: time(100),
  end: time(200),
  step_ms: 10_000,
  columns,
})

test('cells lie by start and by the logarithm of their duration', () => {
  const h = heatOf(answer({ time: time(100), cells: [cell(21, 1)] }, { time: time(150), cells: [cell(21, 3), cell(34, 2, 1)] }))
  expect([h.columns, h.rows, h.most, h.from, h.to]).toEqual([10, 14, 3, 100_000, 200_000])
  expect(h.low).toBeCloseTo(1.024, 6)
  expect(h.high).toBeCloseTo(1.024 * 2 ** 7, 6)
  const filled = h.cells.flatMap((c, i) => (c.count > 0 ? [[i % 10, Math.floor(i / 10), c.count, c.failed]] : []))
  expect(filled).toEqual([
    [0, 0, 1, 0],
    [5, 0, 3, 0],
    [5, 13, 2, 1],
  ])
  expect(durationTicks(h)).toEqual([10, 100])
  expect(durationAt(h, 0.5)).toBeCloseTo(1.024 * 2 ** 3.5, 6)
})

test('a region is a time and a range of durations', () => {
  const h = heatOf(answer({ time: time(100), cells: [cell(21, 1), cell(34, 1)] }))
  expect(regionOf(h, [0.75, 0.255], [0.5, 0])).toEqual({ from: 125, to: 175, min: '', max: '11586us' })
  expect(regionOf(h, [0.5, 0.5], [0.5, 1])).toEqual({ from: 150, to: 151, min: '11585us', max: '' })
})

test('no traces, and very short ones, are a map with room', () => {
  const none = heatOf(answer())
  expect([none.most, none.rows]).toEqual([0, 8])
  const short = heatOf(answer({ time: time(190), cells: [cell(0, 1)] }))
  expect([short.rows, short.most, short.low > 0]).toEqual([8, 1, true])
})

test('it says from when on all traces are counted', () => {
  expect(heatSentence({ start: time(100), traces: 12_000, whole_from: time(100) })).toBe('Heatmap: all 12,000 traces that match.')
  expect(heatSentence({ start: time(100), traces: 3, whole_from: time(160) })).toMatch(/3 traces that match from .*:40 on\.$/)
})
