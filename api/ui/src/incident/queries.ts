import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { getJSON, type Query, sendJSON } from '../api/client'
import type { Matrix } from '../api/queries'
import type { AlertList, Incident, IncidentList, RuleList } from '../api/types'
import { useLiveText, usePaused } from '../live/use-live'

const every = 15_000 // the server reads evidence again as often

const shapeOf = (d: AlertList): string => d.alerts.map((a) => `${a.fingerprint}${a.state}${a.incident ?? ''}`).join()

/** Asks again as soon as alerts change: an incident is made of them. */
function useAfterAlerts(key: readonly unknown[]) {
  const queries = useQueryClient()
  const shape = useLiveText('alerts', shapeOf)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the shape says when
  useEffect(() => {
    if (shape !== undefined) void queries.invalidateQueries({ queryKey: key })
  }, [shape])
}

function useRefetch(): number | false {
  return usePaused() ? false : every
}

export function useIncidents(query: Query) {
  useAfterAlerts(['incidents'])
  return useQuery({
    queryKey: ['incidents', query],
    queryFn: ({ signal }) => getJSON<IncidentList>('/api/v1/incidents', query, signal),
    refetchInterval: useRefetch(),
    placeholderData: keepPreviousData,
  })
}

const pathOf = (id: string) => `/api/v1/incidents/${encodeURIComponent(id)}`

export function useIncident(id: string | undefined) {
  useAfterAlerts(['incident'])
  return useQuery({
    queryKey: ['incident', id],
    queryFn: ({ signal }) => getJSON<Incident>(pathOf(id ?? ''), {}, signal),
    refetchInterval: useRefetch(),
    placeholderData: keepPreviousData,
    enabled: id !== undefined,
  })
}

export type IncidentAction = { do: 'acknowledge' | 'withdraw' } | { do: 'comment'; text: string }

export function useIncidentAction(id: string) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (a: IncidentAction) => {
      if (a.do === 'comment') return sendJSON<Incident>('POST', `${pathOf(id)}/comments`, { text: a.text })
      return sendJSON<Incident>(a.do === 'acknowledge' ? 'PUT' : 'DELETE', `${pathOf(id)}/acknowledgement`)
    },
    onSuccess: (answer) => {
      if (answer) queries.setQueryData(['incident', id], answer)
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['incidents'] }),
  })
}

/** An expression over a range, for the labels of one alert where a series has them; times in Unix seconds. */
export function useExpression(expr: string | undefined, labels: Record<string, string>, start: number, end: number, live: boolean) {
  const step = Math.max(5, Math.ceil((end - start) / 120))
  const to = Math.ceil(end / step) * step
  const from = Math.floor(start / step) * step
  const paused = useRefetch() === false
  return useQuery({
    queryKey: ['expression', expr, labels, from, live ? 'now' : to, step],
    queryFn: async ({ signal }) => {
      const m = await getJSON<Matrix>('/prometheus/api/v1/query_range', { query: expr ?? '', start: from, end: to, step }, signal)
      const of = m.data.result.find((s) => Object.entries(s.metric).every(([n, v]) => n === '__name__' || labels[n] === v))
      const times: number[] = []
      for (let t = from; t <= to; t += step) times.push(t)
      const known = new Map(of?.values.map(([t, v]) => [t, Number(v)]))
      return { times, values: times.map((t) => known.get(t) ?? null), found: of !== undefined, series: m.data.result.length }
    },
    refetchInterval: live && !paused ? 10_000 : false,
    placeholderData: keepPreviousData,
    enabled: expr !== undefined,
  })
}

/** How many rules there are; without any nothing can fire. */
export function useRuleCount(): number | undefined {
  return useQuery({
    queryKey: ['rules'],
    queryFn: ({ signal }) => getJSON<RuleList>('/api/v1/alerts', {}, signal),
    refetchInterval: usePaused() ? false : 60_000,
  }).data?.rules.length
}
