import { expect, test } from 'vitest'
import { analyze } from './analysis'
import { barOf, logTimes, microsOf, pathOf, sectionsOf, ticksOf } from './bars'
import { span, trace } from './testing'
import { timingOf } from './timing'
import { treeOf } from './tree'

const tree = treeOf(trace(span('a', undefined, 0, 1000), span('b', 'a', 250, 500), span('c', 'a', 1000, 0)))

test('bars stay within the window and can be seen', () => {
  const bars = (from: number, to: number) => tree.nodes.map((n) => barOf(n, { from, to }))
  expect(bars(0, 1000)).toEqual([
    { left: 0, width: 100 },
    { left: 25, width: 50 },
    { left: 99.7, width: 0.3 },
  ])
  expect(bars(500, 600)).toEqual([{ left: 0, width: 100 }, { left: 0, width: 100 }, undefined])
  expect(bars(0, 100)).toEqual([{ left: 0, width: 100 }, undefined, undefined])
  expect(bars(0, 0)[0]).toEqual({ left: 0, width: 100 })
})

test('pieces that would touch are one, and those outside are none', () => {
  const w = { from: 0, to: 1000 }
  expect(pathOf([], w)).toBe('')
  expect(
    pathOf(
      [
        [0, 10],
        [11, 20],
        [500, 500],
        [2000, 3000],
      ],
      w,
    ),
  ).toBe('M0 1H20M500 1H503')
  const many = Array.from({ length: 10_000 }, (_, i) => [i / 10, i / 10 + 0.01] as const)
  expect(pathOf(many, w)).toMatch(/^M0 1H\d+(\.\d)?$/)
  expect(pathOf([[0, 10]], { from: 5, to: 5 })).toBe('')
})

test('the sections of a span', () => {
  const of = sectionsOf(analyze(timingOf(tree)))
  expect(of(0)).toEqual([
    [0, 250],
    [750, 1000],
  ])
  expect(of(1)).toEqual([[250, 750]])
  expect(of(2)).toEqual([])
})

test('the marks of an axis are round', () => {
  expect(ticksOf({ from: 0, to: 123_000 }, 5)).toEqual([0, 50_000, 100_000])
  expect(ticksOf({ from: 31, to: 69 }, 5)).toEqual([40, 50, 60])
  expect(ticksOf({ from: 7, to: 7 }, 5)).toEqual([7])
})

test('log lines are ticks at their microsecond, those of errors apart', () => {
  expect(microsOf('2026-12-01T03:00:00.123456789Z') - microsOf('2026-12-01T03:00:00Z')).toBe(123_456)
  const start = microsOf('2026-12-01T03:00:00Z')
  const line = (time: string, span_id: string, severity: string) => ({ time, span_id, severity })
  const times = logTimes(
    [
      line('2026-12-01T03:00:00.002Z', 'a', 'ERROR'),
      line('2026-12-01T03:00:00.0005Z', 'a', 'INFO'),
      line('2026-12-01T03:00:01Z', '', 'INFO'),
    ],
    start,
  )
  expect([...times.keys()]).toEqual(['a'])
  expect(times.get('a')).toEqual({
    all: [
      [500, 500],
      [2000, 2000],
    ],
    bad: [[2000, 2000]],
  })
})
