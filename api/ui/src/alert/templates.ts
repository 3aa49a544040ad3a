import { type Draft, emptyDraft, pair } from './draft'

interface Template {
  id: string
  label: string
  draft: () => Draft
}

const calls = (window: string, more = '') =>
  `sum by (service_name) (rate(traces_span_metrics_calls_total{span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER", job=""${more}}[${window}]))`
const failed = (window: string) => calls(window, ', status_code="STATUS_CODE_ERROR"')
const share = (window: string) => `${failed(window)}\n  / ${calls(window)}`

function draft(name: string, expr: string, hold: string, summary: string, severity = 'warning'): Draft {
  return { ...emptyDraft(), name, expr, for: hold, labels: [pair('severity', severity)], annotations: [pair('summary', summary)] }
}

/** Rules to begin with, each for every service. */
export const templates: Template[] = [
  {
    id: 'errors',
    label: 'Error share',
    draft: () =>
      draft(
        'ServiceErrors',
        `${share('5m')} > 0.05`,
        '5m',
        '{{ $labels.service_name }} fails {{ $value | humanizePercentage }} of its requests',
      ),
  },
  {
    id: 'latency',
    label: 'Latency',
    draft: () =>
      draft(
        'ServiceSlow',
        'histogram_quantile(0.95, sum by (service_name, le) (rate(traces_span_metrics_duration_milliseconds_bucket{span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER", job=""}[5m]))) > 500',
        '5m',
        '{{ $labels.service_name }} has a p95 of {{ printf "%.0f" $value }} ms',
      ),
  },
  {
    id: 'drop',
    label: 'Traffic drop',
    draft: () =>
      draft(
        'ServiceTrafficDrop',
        `${calls('10m')}\n  / ${calls('10m').replace('[10m]', '[10m] offset 1h')} < 0.5`,
        '5m',
        '{{ $labels.service_name }} receives {{ $value | humanizePercentage }} of the requests of an hour ago',
      ),
  },
  {
    id: 'burn',
    label: 'Burn rate',
    draft: () =>
      draft(
        'ServiceBurnsBudget',
        // 14.4 times the budget of 99.9 %: 2 % of 30 days in an hour. The short window ends the alert soon after the failures end.
        `(${share('1h')}) > 14.4 * 0.001\nand\n(${share('5m')}) > 14.4 * 0.001`,
        '2m',
        '{{ $labels.service_name }} spends its error budget of 0.1 % over 14 times too fast: {{ $value | humanizePercentage }} fail',
        'critical',
      ),
  },
  {
    id: 'absence',
    label: 'Absence',
    draft: () =>
      draft(
        'ServiceSilent',
        `${calls('1h')} > 0\nunless\n${calls('5m')} > 0`,
        '5m',
        '{{ $labels.service_name }} received requests within the last hour and none within 5 minutes',
      ),
  },
]
