import { expect, test } from 'vitest'
import { boundWords, cellAt, hasBuckets, heatedOf, histogramOf, isCumulative, rowWords, ticksOf } from './histogram'
import type { Series } from './series'

const of = { start: 100, step: 10, times: [100, 110, 120] }
const all = () => true
const counts = (g: ReturnType<ReturnType<typeof heatedOf>['gridOf']>) => g.cells.map((c) => Math.round(c.count * 1000) / 1000)

test('a native histogram is decoded, with buckets of all signs', () => {
  expect(
    histogramOf({
      count: '6',
      sum: '-1.5',
      buckets: [
        [1, '-2', '-1', '2'],
        [3, '-0.001', '0.001', '1'],
        [0, '1', '+Inf', '3'],
      ],
    }),
  ).toEqual({
    count: 6,
    sum: -1.5,
    buckets: [
      { low: -2, high: -1, count: 2 },
      { low: -0.001, high: 0.001, count: 1 },
      { low: 1, high: Infinity, count: 3 },
    ],
  })
  expect(histogramOf({ count: '0', sum: '0' })).toEqual({ count: 0, sum: 0, buckets: [] })
  expect(histogramOf(undefined)).toBeUndefined()
  expect(histogramOf('x')).toBeUndefined()
})

const native = (metric: Record<string, string>, samples: [number, [string, string, string][]][]): Series => ({
  metric,
  histograms: samples.map(([t, buckets]) => [
    t,
    { count: String(buckets.reduce((s, b) => s + Number(b[2]), 0)), sum: '1', buckets: buckets.map((b) => [0, ...b]) },
  ]),
})

test('native histograms of a rate are drawn as they are, and series are added up', () => {
  const result = [
    native({ a: '1' }, [
      [100, [['1', '2', '3']]],
      [
        120,
        [
          ['1', '2', '1'],
          ['2', '4', '5'],
        ],
      ],
    ]),
    native({ a: '2' }, [[120, [['1', '2', '1']]]]),
  ]
  const heated = heatedOf('rate(x[1m])', result, of)
  expect(heated.courses.map((c) => [c.name, c.values])).toEqual([
    ['1', [3, null, 6]],
    ['2', [null, null, 1]],
  ])
  const g = heated.gridOf(all)
  expect(g.bounds).toEqual([
    { low: 1, high: 2 },
    { low: 2, high: 4 },
  ])
  expect(g.edges).toEqual([0, 0.5, 1])
  expect(counts(g)).toEqual([3, 0, 2, 0, 0, 5])
  expect(g.most).toBe(5)
  expect(counts(heated.gridOf((k) => k === '{a="2"}'))).toEqual([0, 0, 1])
})

test('counters are drawn as their increase, and a restart begins at zero', () => {
  const result = [
    native({}, [
      [100, [['1', '2', '30']]],
      [110, [['1', '2', '34']]],
      [120, [['1', '2', '3']]],
    ]),
  ]
  expect(isCumulative('sum(x_bucket)')).toBe(true)
  expect(isCumulative('sum by (le) (increase (x_bucket[5m]))')).toBe(false)
  expect(counts(heatedOf('x', result, of).gridOf(all))).toEqual([0, 4, 3])
})

test('classic buckets are made of their cumulative counts', () => {
  const bucket = (le: string, ...v: string[]): Series => ({
    metric: { le, service: 'a' },
    values: v.map((x, i) => [100 + 10 * i, x]),
  })
  const result = [bucket('+Inf', '9', '9', '1'), bucket('0.5', '2', '4', '2'), bucket('1', '6', '4', '1')]
  const heated = heatedOf('rate(x_bucket[1m])', result, of)
  expect(heated.courses.map((c) => c.values)).toEqual([[9, 9, 2]])
  const g = heated.gridOf(all)
  expect(g.bounds).toEqual([
    { low: 0, high: 0.5 },
    { low: 0.5, high: 1 },
    { low: 1, high: Infinity },
  ])
  expect(counts(g)).toEqual([2, 4, 2, 4, 0, 0, 3, 5, 0])
  expect(g.edges.map((e) => Math.round(e * 300))).toEqual([0, 100, 200, 300])
  expect(cellAt(g, 105, 0.9)).toEqual({ column: 1, row: 2 })
  expect(cellAt(g, 100, 0.1)).toEqual({ column: 0, row: 0 })
  expect(cellAt(g, 121, 0.1)).toBeUndefined()
  expect(ticksOf(g).map((t) => t.text)).toEqual(['0', '0.5', '1', '+Inf'])
})

test('histograms of two resolutions share rows, and hundreds of buckets are taken together', () => {
  const mixed = [native({ a: '1' }, [[100, [['1', '4', '8']]]]), native({ a: '2' }, [[100, [['1', '2', '1']]]])]
  expect(counts(heatedOf('rate(x[1m])', mixed, { ...of, times: [100] }).gridOf(all))).toEqual([5, 4])
  const many = Array.from({ length: 300 }, (_, i): [string, string, string] => [String(1.1 ** i), String(1.1 ** (i + 1)), '1'])
  const g = heatedOf('rate(x[1m])', [native({}, [[100, many]])], { ...of, times: [100] }).gridOf(all)
  expect(g.rows).toBe(60)
  expect(counts(g).reduce((s, c) => s + c, 0)).toBe(300)
})

test('what has no buckets has no heatmap', () => {
  const plain: Series[] = [{ metric: { a: 'b' }, values: [[100, '1']] }]
  expect(hasBuckets(plain)).toBe(false)
  expect(heatedOf('x', plain, of).courses).toEqual([])
  expect(heatedOf('x', [], of).gridOf(all)).toMatchObject({ rows: 0, most: 0 })
})

test('bounds of buckets in words', () => {
  expect([0.00025, 0.005, 2.5, 12_000, 0, Infinity].map(boundWords)).toEqual(['0.00025', '0.005', '2.5', '12K', '0', '+Inf'])
  expect(rowWords({ low: 0.25, high: 0.5 })).toBe('0.25 to 0.5')
  expect(rowWords({ low: 10, high: Infinity })).toBe('above 10')
})
