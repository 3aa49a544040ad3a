import { afterEach, expect, test, vi } from 'vitest'
import { exprOfMetric } from './browser'
import { csvOf, curlOf, jsonOf } from './csv'
import { metricsOf, parses } from './names'
import { distance, nearNames } from './near'
import { placeOf, stepsOf } from './queries'
import { commonOf, gridOf, namesOf, ordered, roundStep, textOf } from './series'
import { metricsPathOf, queriesOf, withQueries } from './url'

afterEach(() => vi.useRealTimers())

const names = [
  'traces_span_metrics_calls_total',
  'traces_spanmetrics_calls_total',
  'traces_service_graph_request_total',
  'http_server_request_duration_seconds_bucket',
  'up',
]

test('names like one that does not exist', () => {
  expect(nearNames('trace_span_metrics_calls_total', names)[0]).toBe('traces_span_metrics_calls_total')
  expect(nearNames('http_request_duration_seconds_bucket', names)[0]).toBe('http_server_request_duration_seconds_bucket')
  expect(nearNames('TRACES_SPANMETRICS_CALLS', names)).toContain('traces_spanmetrics_calls_total')
  expect(nearNames('pu', names)).toEqual(['up'])
  expect(nearNames('zebra', names)).toEqual([])
})

test('distance counts letters, and stops', () => {
  expect(distance('abc', 'abc', 3)).toBe(0)
  expect(distance('abc', 'acb', 3)).toBe(1)
  expect(distance('abc', 'abd1', 3)).toBe(2)
  expect(distance('abcdef', 'uvwxyz', 3)).toBe(4)
})

test('the metrics that an expression names', () => {
  const text = 'sum by (up) (rate(a_total{b="c"}[5m])) / {__name__="d", e="f"} > {"g.h"} offset 5m'
  expect(metricsOf(text).map((m) => m.name)).toEqual(['a_total', 'd', 'g.h'])
  for (const m of metricsOf(text)) expect(text.slice(m.from, m.to)).toBe(m.name)
  expect(metricsOf('{"b c"="d", a="x"}')).toEqual([])
  expect(metricsOf('{__name__=~"x.*"}')).toEqual([])
  expect([parses('a > 1'), parses('sum(('), parses('')]).toEqual([true, false, false])
})

test('an error of the parser has its place', () => {
  expect(placeOf('1:6: parse error: unclosed left parenthesis', 'sum((')).toEqual({ at: 5, words: 'unclosed left parenthesis' })
  expect(placeOf('2:3: parse error: no', 'a\n +')).toEqual({ at: 4, words: 'no' })
  expect(placeOf('query timed out', 'a')).toEqual({ at: 0, words: 'query timed out' })
})

test('a range query is put on its times', () => {
  const { times, series } = gridOf(
    [
      {
        metric: { a: 'x' },
        values: [
          [10, '1'],
          [30, 'NaN'],
        ],
      },
      { metric: { a: 'y' }, values: [[20, '2.5']] },
      { metric: { a: 'z' }, histograms: [] },
    ],
    10,
    30,
    10,
  )
  expect(times).toEqual([10, 20, 30])
  expect(series.map((s) => [s.name, s.values])).toEqual([
    ['x', [1, null, null]],
    ['y', [null, 2.5, null]],
  ])
  expect(ordered(series).map((s) => s.name)).toEqual(['y', 'x'])
  expect(ordered(series, true).map((s) => s.name)).toEqual(['x', 'y'])
})

test('series are named by what differs', () => {
  expect(
    namesOf([
      { __name__: 'm', a: '1', b: '2' },
      { __name__: 'm', a: '1', b: '3' },
    ]),
  ).toEqual(['2', '3'])
  expect(
    namesOf([
      { a: '1', b: '2' },
      { a: '2', b: '3' },
    ]),
  ).toEqual(['a=1, b=2', 'a=2, b=3'])
  expect(namesOf([{ __name__: 'm' }, { __name__: 'n', a: '1' }])).toEqual(['m', 'n 1'])
  expect(namesOf([{ __name__: 'm', a: '1' }])).toEqual(['m{a="1"}'])
  expect(textOf({})).toBe('{}')
})

test('the labels that all series have', () => {
  expect(
    commonOf([
      { a: '1', b: '2' },
      { a: '1', b: '3', c: '4' },
    ]),
  ).toEqual({ a: '1' })
  expect(commonOf([{ a: '1' }])).toEqual({})
})

test('steps are whole, and end within the range', () => {
  vi.useFakeTimers({ now: 1_000_007_000 })
  expect(stepsOf('15m')).toEqual({ start: 999_105, end: 1_000_005, step: 5 })
  expect([roundStep(60), roundStep(3600), roundStep(86_400 * 400)]).toEqual([1, 15, 172_800])
})

test('CSV quotes, and starts no formula', () => {
  const csv = csvOf([
    {
      metric: { a: 'x,"y"', b: '=1+1' },
      values: [
        [0, '1'],
        [60, '-2'],
      ],
    },
    { metric: { c: '-1' }, value: [60, 'NaN'] },
  ])
  expect(csv.split('\r\n')).toEqual([
    'a,b,c,time,value',
    `"x,""y""",'=1+1,,1970-01-01T00:00:00.000Z,1`,
    `"x,""y""",'=1+1,,1970-01-01T00:01:00.000Z,-2`,
    ',,-1,1970-01-01T00:01:00.000Z,NaN',
    '',
  ])
})

test('a request as a command', () => {
  expect(curlOf('https://w', '/p', { query: "a{b='c'}", step: 5 })).toBe(
    `curl -sS 'https://w/p' \\\n  --data-urlencode 'query=a{b='\\''c'\\''}' \\\n  --data-urlencode 'step=5'`,
  )
})

test('the address holds the queries', () => {
  const queries = queriesOf(new URLSearchParams('g0.expr=a&g0.tab=1&g1.expr=b&g1.tab=0&g3.expr=lost&from=now-1h'))
  expect(queries).toEqual([
    { expr: 'a', tab: 'table' },
    { expr: 'b', tab: 'graph' },
  ])
  expect(withQueries(new URLSearchParams('from=now-1h&g4.expr=x'), queries).toString()).toBe('from=now-1h&g0.expr=a&g0.tab=table&g1.expr=b')
  expect(queriesOf(new URLSearchParams())).toEqual([{ expr: '', tab: 'graph' }])
})

test('an address of Prometheus leads to the same queries and the same time', () => {
  const path = (q: string) => metricsPathOf(new URLSearchParams(q))
  expect(path('g0.expr=a+%3E+1&g0.tab=0&g0.range_input=1h')).toBe('/query?g0.expr=a+%3E+1&from=now-1h')
  expect(path('g0.expr=a&g0.range_input=1h&g0.end_input=2026-11-30 10:00:00')).toBe('/query?g0.expr=a&from=1796029200&to=1796032800')
  expect(path('')).toBe('/query')
})

test('a first expression for a metric', () => {
  const names = new Set(['h_bucket'])
  expect(exprOfMetric({ name: 'c_total', type: 'counter' }, names)).toBe('sum(rate(c_total[5m]))')
  expect(exprOfMetric({ name: 'h', type: 'histogram' }, names)).toBe('histogram_quantile(0.95, sum by (le) (rate(h_bucket[5m])))')
  expect(exprOfMetric({ name: 'n', type: 'histogram' }, names)).toBe('histogram_quantile(0.95, sum(rate(n[5m])))')
  expect(exprOfMetric({ name: 'g', type: 'gauge' }, names)).toBe('g')
})

test('native histograms as CSV are their counts and sums, and JSON is the answer with its query', () => {
  const result = [{ metric: { a: 'b' }, histograms: [[10, { count: '3', sum: '1.5', buckets: [[0, '0.25', '0.5', '3']] }]] }]
  expect(csvOf(result)).toBe('a,time,value,count,sum\r\nb,1970-01-01T00:00:10.000Z,,3,1.5\r\n')
  expect(JSON.parse(jsonOf({ query: 'x', step: 10 }, 'matrix', result))).toEqual({
    query: { query: 'x', step: 10 },
    resultType: 'matrix',
    result,
  })
})

test('an address keeps the heatmap', () => {
  const queries = queriesOf(new URLSearchParams('g0.expr=x&g0.tab=heatmap&g1.expr=y'))
  expect(queries.map((q) => q.tab)).toEqual(['heatmap', 'graph'])
  expect(withQueries(new URLSearchParams(), queries).toString()).toBe('g0.expr=x&g0.tab=heatmap&g1.expr=y')
})
