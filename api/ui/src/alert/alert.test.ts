import { expect, test } from 'vitest'
import type { PathEdge } from '../api/types'
import { callsOf, causeOf } from './cause'
import { conditionOf, draftOfChart, usualOf } from './from-chart'
import { alertsOf } from './notifications'

const edge = (over: Partial<PathEdge>): PathEdge => ({
  client: 'checkout',
  server: 'payment',
  connection_type: '',
  hops: 1,
  calls: 120,
  failed: 15,
  error_rate: 0.125,
  baseline_error_rate: 0.01,
  mean_ms: 60,
  baseline_mean_ms: 50,
  excess_failed: 14,
  own_excess_failed: 14,
  excess_seconds: 0,
  own_excess_seconds: 0,
  score: 0.9,
  changed: ['errors'],
  new_versions: [],
  ...over,
})

test('where it begins, in a sentence', () => {
  expect(causeOf({ path: [] })).toBeUndefined()
  expect(causeOf({ path: [edge({ score: 0.2 })] })).toBeUndefined()
  expect(causeOf({ path: [edge({})] })).toBe('checkout → payment: 12.5 % fail, 1.00 % before')
  expect(causeOf({ path: [edge({ changed: ['added'] })] })).toBe('checkout → payment: 12.5 % fail')
  expect(causeOf({ path: [edge({ own_excess_failed: 0, own_excess_seconds: 4, mean_ms: 400, new_versions: ['1.5.0'] })] })).toBe(
    'checkout → payment: 400 ms on average, 50.0 ms before; new version 1.5.0',
  )
  expect(callsOf({ client: '', server: 'shop' })).toBe('all calls to shop')
})

test('notifications tell how many alerts they are about', () => {
  expect(alertsOf({ firing: [{}, {}], resolved: [{}] })).toBe('2 firing, 1 resolved')
  expect(alertsOf({ firing: [], resolved: [] })).toBe('none')
})

test('a chart makes a condition', () => {
  expect(conditionOf('rate', 'a"b', '', 1.25)).toBe(
    'sum by (service_name) (rate(traces_span_metrics_calls_total{service_name="a\\"b", span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER", job=""}[5m])) < 1.25',
  )
  expect(conditionOf('errors', 'a', 'GET /', 0.05)).toBe(
    'sum by (service_name) (rate(traces_span_metrics_calls_total{service_name="a", span_name="GET /", job="", status_code="STATUS_CODE_ERROR"}[5m])) / sum by (service_name) (rate(traces_span_metrics_calls_total{service_name="a", span_name="GET /", job=""}[5m])) > 0.05',
  )
  expect(conditionOf('duration', 'a', '', 400)).toMatch(/^histogram_quantile\(0\.95, sum by \(service_name, le\) .*> 400$/)
  expect(draftOfChart('errors', 'cart-api', 'GET /', 0.05).name).toBe('CartApiGETManyErrors')
})

test('its threshold lies beyond what is usual', () => {
  const point = (calls: number, errors: number, p95_ms: number) => ({ calls, errors, p95_ms, entry: { calls, errors, p95_ms } })
  const metrics = { step_s: 10, points: [point(100, 2, 100), point(110, 2, 120), point(300, 200, 900)] } as unknown as Parameters<
    typeof usualOf
  >[1]
  expect(usualOf('rate', metrics)).toBe(5.5)
  expect(usualOf('errors', metrics)).toBeCloseTo(0.06)
  expect(usualOf('duration', metrics)).toBe(240)
  expect(usualOf('errors', { ...metrics, points: [] })).toBe(0.01)
  expect(usualOf('duration', { ...metrics, points: [] })).toBe(500)
})
