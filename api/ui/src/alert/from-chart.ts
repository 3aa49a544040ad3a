import type { ServiceMetrics } from '../api/types'
import { tidy } from '../promql/threshold'
import { type Draft, emptyDraft, pair } from './draft'

export type ChartKind = 'rate' | 'errors' | 'duration'

const calls = 'traces_span_metrics_calls_total'
const buckets = 'traces_span_metrics_duration_milliseconds_bucket'
const asked = 'span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"'

/** The condition that what a chart shows is worse than `threshold`: requests per second, a share from 0 to 1, or milliseconds. */
export function conditionOf(kind: ChartKind, service: string, operation: string, threshold: number): string {
  // A metric of an application may have the name of one of ours; it has a job.
  const of = [
    `service_name=${JSON.stringify(service)}`,
    operation === '' ? asked : `span_name=${JSON.stringify(operation)}`,
    'job=""',
  ].join(', ')
  const rate = (more = '') => `sum by (service_name) (rate(${calls}{${of}${more}}[5m]))`
  switch (kind) {
    case 'rate':
      return `${rate()} < ${tidy(threshold)}`
    case 'errors':
      return `${rate(', status_code="STATUS_CODE_ERROR"')} / ${rate()} > ${tidy(threshold)}`
    case 'duration':
      return `histogram_quantile(0.95, sum by (service_name, le) (rate(${buckets}{${of}}[5m]))) > ${tidy(threshold)}`
  }
}

/** Two significant digits. */
const rough = (n: number): number => Number(n.toPrecision(2))

function median(values: number[]): number {
  const s = [...values].sort((a, b) => a - b)
  return s[Math.floor(s.length / 2)] ?? 0
}

/** A threshold beyond what is usual in the range: half of the usual rate, three times the usual errors, twice the usual p95. */
export function usualOf(kind: ChartKind, m: Pick<ServiceMetrics, 'points' | 'step_s'>): number {
  const entry = m.points.some((p) => p.entry.calls > 0)
  const points = m.points.map((p) => (entry ? p.entry : p)).filter((p) => p.calls > 0)
  switch (kind) {
    case 'rate':
      return rough(median(points.map((p) => p.calls / m.step_s)) / 2)
    case 'errors':
      return Math.max(0.01, rough(3 * median(points.map((p) => p.errors / p.calls))))
    case 'duration':
      return rough(2 * median(points.map((p) => p.p95_ms))) || 500
  }
}

const words: Record<ChartKind, { name: string; summary: string }> = {
  rate: { name: 'FewRequests', summary: 'receives only {{ $value | humanize }} requests per second' },
  errors: { name: 'ManyErrors', summary: 'fails {{ $value | humanizePercentage }} of its requests' },
  duration: { name: 'Slow', summary: 'has a p95 of {{ printf "%.0f" $value }} ms' },
}

/** checkout-service, PlaceOrder -> CheckoutServicePlaceOrder */
const camel = (s: string): string =>
  s
    .split(/[^A-Za-z0-9]+/)
    .map((w) => w.charAt(0).toUpperCase() + w.slice(1))
    .join('')

/** The editor's fields for an alert on what a chart shows. */
export function draftOfChart(kind: ChartKind, service: string, operation: string, threshold: number): Draft {
  const { name, summary } = words[kind]
  return {
    ...emptyDraft(),
    name: camel(service) + camel(operation) + name,
    expr: conditionOf(kind, service, operation, threshold),
    for: '1m',
    annotations: [pair('summary', `${operation === '' ? '' : `${operation} of `}{{ $labels.service_name }} ${summary}`)],
  }
}

export function isChartKind(s: string): s is ChartKind {
  return s === 'rate' || s === 'errors' || s === 'duration'
}
