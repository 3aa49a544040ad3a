import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { type Range, rangeSeconds, rangeStart } from '../lib/range'
import { useLiveStatus } from '../live/use-live'
import { getJSON } from './client'
import type { AlertHistory, Config, OperationList, RuleList, ServiceMetrics } from './types'

/** What has no live view is asked for again every few seconds, more seldom after an error and not while the page is paused. */
function useEvery(ms: number) {
  const { paused } = useLiveStatus()
  return (query: { state: { error: Error | null } }): number | false => (paused ? false : query.state.error ? Math.max(ms, 15_000) : ms)
}

export function useConfig() {
  return useQuery({
    queryKey: ['config'],
    queryFn: ({ signal }) => getJSON<Config>('/api/v1/config', {}, signal),
    staleTime: Number.POSITIVE_INFINITY,
  })
}

export function useOperations(service: string, range: Range) {
  return useQuery({
    queryKey: ['operations', service, range],
    queryFn: ({ signal }) =>
      getJSON<OperationList>(`/api/v1/services/${encodeURIComponent(service)}/operations`, { start: rangeStart(range) }, signal),
    refetchInterval: useEvery(3_000),
    placeholderData: keepPreviousData,
  })
}

export function useServiceMetrics(service: string, operation: string, range: Range) {
  return useQuery({
    queryKey: ['metrics', service, operation, range],
    queryFn: ({ signal }) =>
      getJSON<ServiceMetrics>(`/api/v1/services/${encodeURIComponent(service)}/metrics`, { start: rangeStart(range), operation }, signal),
    refetchInterval: useEvery(5_000),
    placeholderData: keepPreviousData,
  })
}

export function useRules() {
  return useQuery({
    queryKey: ['rules'],
    queryFn: ({ signal }) => getJSON<RuleList>('/api/v1/alerts', {}, signal),
    refetchInterval: useEvery(5_000),
  })
}

export function useAlertHistory(limit: number) {
  return useQuery({
    queryKey: ['history', limit],
    queryFn: ({ signal }) => getJSON<AlertHistory>('/api/v1/alerts/history', { limit }, signal),
    refetchInterval: useEvery(5_000),
  })
}

interface Matrix {
  data: { result: { metric: Record<string, string>; values: [number, string][] }[] }
}

const sparkPoints = 48

/** Entry-span rate of every service over the range, for sparklines: one query for all rows. */
export function useRates(range: Range) {
  const step = Math.max(10, Math.round(rangeSeconds(range) / sparkPoints / 10) * 10)
  return useQuery({
    queryKey: ['rates', range],
    queryFn: async ({ signal }) => {
      const end = Math.floor((rangeStart(range) + rangeSeconds(range)) / step) * step
      const start = end - sparkPoints * step
      const query = `sum by (service_name) (rate(traces_span_metrics_calls_total{span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"}[${Math.max(60, step)}s]))`
      return sparks(await getJSON<Matrix>('/prometheus/api/v1/query_range', { query, start, end, step }, signal), start, end, step)
    },
    refetchInterval: useEvery(Math.max(10_000, step * 500)),
    placeholderData: keepPreviousData,
  })
}

export function sparks(m: Matrix, start: number, end: number, step: number): Map<string, (number | null)[]> {
  const out = new Map<string, (number | null)[]>()
  const n = Math.round((end - start) / step) + 1
  for (const series of m.data.result) {
    const line = new Array<number | null>(n).fill(null)
    for (const [t, v] of series.values) {
      const i = Math.round((t - start) / step)
      const value = Number(v)
      if (i >= 0 && i < n && Number.isFinite(value)) line[i] = value
    }
    out.set(series.metric.service_name ?? '', line)
  }
  return out
}
