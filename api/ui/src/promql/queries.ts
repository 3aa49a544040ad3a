import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query'
import { ApiError, getJSON, pathWith } from '../api/client'
import { useEvery } from '../api/queries'
import type { MetricList } from '../api/types'
import { endsNow, type Range, rangeEnd, rangeSeconds, rangeStart } from '../lib/range'
import { gridOf, type ResultType, roundStep, type Series } from './series'

export const prefix = '/prometheus/api/v1'

interface Answer {
  status: 'success' | 'error'
  data?: { resultType: ResultType; result: Series[] | [number, string] }
  error?: string
  warnings?: string[]
  infos?: string[]
}

/** Prometheus' API has its own shape of errors: the words are in `error`. */
async function ask(path: string, query: Record<string, string | number>, signal: AbortSignal): Promise<Answer> {
  let res: Response
  try {
    res = await fetch(pathWith(path, query), { headers: { Accept: 'application/json', 'X-Requested-With': 'page' }, signal })
  } catch (err) {
    if (err instanceof DOMException && err.name === 'AbortError') throw err
    throw new ApiError(0, 'unreachable', 'WatchingCat does not answer', 'The page keeps trying.')
  }
  const body = (await res.json().catch(() => ({}))) as Partial<Answer> & { detail?: string }
  if (res.ok && body.status === 'success') return body as Answer
  const words = body.error ?? body.detail ?? `HTTP ${res.status} ${res.statusText}`
  throw new ApiError(res.status, 'query', words.replace(/^invalid parameter "query": /, ''), '')
}

/** Where an error of the parser is, as places in the text: "1:6: parse error: ..." is at line 1, column 6. */
export function placeOf(message: string, text: string): { at: number; words: string } {
  const m = /^(\d+):(\d+): (?:parse error: )?([\s\S]*)$/.exec(message)
  if (m === null) return { at: 0, words: message }
  const lines = text.split('\n')
  let at = Number(m[2]) - 1
  for (let i = 0; i < Number(m[1]) - 1 && i < lines.length; i++) at += (lines[i] as string).length + 1
  return { at: Math.max(0, Math.min(text.length, at)), words: m[3] as string }
}

/** The times of a range query: whole steps, the last at the end of the range. */
export function stepsOf(range: Range): { start: number; end: number; step: number } {
  const step = roundStep(rangeSeconds(range))
  return { start: Math.floor(rangeStart(range) / step) * step, end: Math.floor(rangeEnd(range) / step) * step, step }
}

const listed = (a: Answer): Series[] => {
  const { resultType, result } = a.data ?? {}
  if (resultType === 'matrix' || resultType === 'vector') return result as Series[]
  return result === undefined ? [] : [{ metric: {}, value: result as [number, string] }]
}

const notesOf = (a: Answer): string[] => [...(a.warnings ?? []), ...(a.infos ?? [])]

function rangeQuery(expr: string, range: Range, refetchInterval: ReturnType<typeof useEvery>, enabled: boolean) {
  return {
    queryKey: ['promql', expr, range],
    queryFn: async ({ signal }: { signal: AbortSignal }) => {
      const times = stepsOf(range)
      const a = await ask(`${prefix}/query_range`, { query: expr, ...times }, signal)
      const result = listed(a)
      const histograms = result.filter((s) => s.histograms !== undefined && s.values === undefined).length
      return { ...times, result, histograms, notes: notesOf(a), ...gridOf(result, times.start, times.end, times.step) }
    },
    refetchInterval,
    placeholderData: keepPreviousData,
    retry: false,
    enabled: enabled && expr.trim() !== '',
  } as const
}

/** An expression over a range. */
export function useRangeQuery(expr: string, range: Range, enabled = true) {
  return useQuery(rangeQuery(expr, range, useEvery(10_000, range), enabled))
}

/** Several expressions over a range: they have the same steps. */
export function useRangeQueries(exprs: readonly string[], range: Range, enabled = true) {
  const every = useEvery(10_000, range)
  return useQueries({ queries: exprs.map((e) => rangeQuery(e, range, every, enabled)) })
}

function instantQuery(expr: string, range: Range, refetchInterval: ReturnType<typeof useEvery>, enabled: boolean) {
  return {
    queryKey: ['promql at', expr, range],
    queryFn: async ({ signal }: { signal: AbortSignal }) => {
      const a = await ask(`${prefix}/query`, { query: expr, ...timeOf(range) }, signal)
      return { type: a.data?.resultType ?? 'vector', result: listed(a), notes: notesOf(a) }
    },
    refetchInterval,
    placeholderData: keepPreviousData,
    retry: false,
    enabled: enabled && expr.trim() !== '',
  } as const
}

/** An expression at the end of the range. */
export function useInstantQuery(expr: string, range: Range, enabled = true) {
  return useQuery(instantQuery(expr, range, useEvery(10_000, range), enabled))
}

export function useInstantQueries(exprs: readonly string[], range: Range, enabled = true) {
  const every = useEvery(10_000, range)
  return useQueries({ queries: exprs.map((e) => instantQuery(e, range, every, enabled)) })
}

/** The values of a label, of the series of a selector or of all, within a range. */
export function useLabelValues(label: string, selector: string, range: Range, enabled = true) {
  return useQuery({
    queryKey: ['label values', label, selector, range],
    queryFn: async ({ signal }) => {
      const times = { start: Math.floor(rangeStart(range)), end: Math.ceil(rangeEnd(range)) }
      const path = `${prefix}/label/${encodeURIComponent(label)}/values`
      const a = (await ask(path, { ...times, limit: 1000, ...(selector ? { 'match[]': selector } : {}) }, signal)) as unknown as {
        data: string[]
      }
      return a.data.filter((v) => typeof v === 'string')
    },
    refetchInterval: useEvery(60_000, range),
    placeholderData: keepPreviousData,
    retry: false,
    enabled,
  })
}

export const timeOf = (range: Range): Record<string, number> => (endsNow(range) ? {} : { time: rangeEnd(range) })

/** The metrics that there are, each with its type and number of series. */
export function useMetricList(enabled = true) {
  return useQuery({
    queryKey: ['metric list'],
    queryFn: async ({ signal }) => {
      const out: MetricList['metrics'] = []
      let next: string | undefined
      do {
        const page = await getJSON<MetricList>('/api/v1/metrics', { limit: 1000, next }, signal)
        out.push(...page.metrics)
        next = page.next
      } while (next !== undefined && out.length < 20_000)
      return out
    },
    refetchInterval: useEvery(60_000),
    enabled,
  })
}

/** The names that an expression can use, each series of a histogram under its own. */
export function useMetricNames(enabled = true) {
  return useQuery({
    queryKey: ['metric names'],
    queryFn: async ({ signal }) =>
      (await getJSON<{ data: string[] }>(`${prefix}/label/__name__/values`, {}, signal)).data.filter((n) => typeof n === 'string'),
    staleTime: 30_000,
    enabled,
  })
}

/** Since when something is known, as Unix seconds, at most this long ago. */
export function useHeldSince(atMost: number, enabled: boolean) {
  return useQuery({
    queryKey: ['held since', atMost],
    queryFn: async ({ signal }) => {
      const now = Math.floor(Date.now() / 1000)
      const { meta } = await getJSON<{ meta: { since: string | null } }>('/api/v1/services', { start: now - atMost, limit: 1 }, signal)
      return meta.since === null ? now - atMost : Math.max(now - atMost, Math.floor(Date.parse(meta.since) / 1000))
    },
    staleTime: Number.POSITIVE_INFINITY,
    enabled,
  })
}
