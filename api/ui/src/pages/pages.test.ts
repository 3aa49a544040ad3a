import { expect, test } from 'vitest'
import type { LogVolume } from '../api/types'
import { dataOf } from '../chart/chart'
import { volumeOf } from '../logs/volume'
import { sparkOf } from './errors'
import { etaWords, spanWords } from './replays'

const at = (seconds: number) => new Date(seconds * 1000).toISOString()

test('steps without errors are zeros', () => {
  const points = [
    { time: at(1020), count: 2 },
    { time: at(1080), count: 3 },
    { time: at(2000), count: 9 },
  ]
  expect(sparkOf(points, 1000, 1090, 20)).toEqual([0, 2, 0, 0, 3])
  expect(sparkOf([], 1000, 1001, 20)).toEqual([0, 0])
})

test('log lines are counted by severity, at the end of each step', () => {
  const bucket = (time: number, service: string, severity: string, count: number) => ({
    time: at(time),
    service,
    severity,
    count,
    bytes: 0,
  })
  const volume = {
    step_s: 10,
    buckets: [bucket(1000, 'a', 'INFO', 5), bucket(1000, 'b', 'INFO', 1), bucket(1010, 'a', 'FATAL', 2), bucket(990, 'a', 'INFO', 100)],
  } as LogVolume
  const { times, lines, span } = volumeOf(volume, { from: 1003, to: 1020 })
  expect(times).toEqual([1010, 1020])
  expect(span).toEqual([1000, 1020])
  expect(lines.map((l) => [l.label, ...l.values])).toEqual([
    ['debug', 0, 0],
    ['info', 6, 0],
    ['warn', 0, 0],
    ['error', 0, 2],
  ])
})

test('stacked bars are sums, the highest first', () => {
  const lines = [
    { label: 'a', color: '', values: [1, null] },
    { label: 'b', color: '', values: [2, 3] },
  ]
  expect(dataOf([10, 20], lines, true)).toEqual([
    [10, 20],
    [3, 3],
    [1, 0],
  ])
  expect(dataOf([10, 20], lines, false)).toEqual([
    [10, 20],
    [1, null],
    [2, 3],
  ])
})

test('a replay in words', () => {
  expect(etaWords({ state: 'running', eta_s: 12 })).toBe('12 s')
  expect(etaWords({ state: 'running', eta_s: 0.2 })).toBe('1.0 s')
  expect(etaWords({ state: 'running', eta_s: null })).toBe('–')
  expect(etaWords({ state: 'paused', eta_s: 12 })).toBe('–')
  expect(spanWords({ from: null, to: null, views: [] })).toBe('all that the topics hold')
  expect(spanWords({ from: null, to: null, views: ['red'] })).toBe('red, all that the topics hold')
  expect(spanWords({ from: at(0), to: null, views: [] })).toMatch(/^\d{4}-\d\d-\d\d .* to now$/)
})
