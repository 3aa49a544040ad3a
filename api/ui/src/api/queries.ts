import { keepPreviousData, useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { endsNow, type Range, rangeSeconds, rangeStart, type Span, timesOf } from '../lib/range'
import { usePaused } from '../live/use-live'
import { serviceKey } from '../live/views'
import { comparedTimes } from '../map/difference'
import { getJSON, type Query, sendJSON } from './client'
import type {
  AlertHistory,
  AuditList,
  BacktestAnswer,
  BacktestRequest,
  Config,
  DatabaseList,
  DeploymentList,
  DimensionList,
  ExceptionAnswer,
  ExceptionList,
  ExternalList,
  LoggedOut,
  LogList,
  Me,
  MessagingAnswer,
  NewToken,
  NotificationList,
  OperationList,
  PasswordInput,
  ReceiverList,
  ReceiverTest,
  Replay,
  ReplayList,
  ReplayRequest,
  Role,
  RuleAnswer,
  RuleInput,
  RuleList,
  ServiceMap,
  ServiceMetrics,
  ServiceTrend,
  ServiceTrends,
  Silence,
  SilenceInput,
  SpanAnalysis,
  TokenInput,
  TokenList,
  TopicBacktest,
  TraceAnswer,
  TraceBaselines,
  TraceHeatmap,
  TraceList,
  UserInput,
  UserList,
} from './types'

/** The past changes only by what comes late. */
const pastEvery = 60_000

/** What has no live view is asked for again every few seconds, more seldom after an error and not while the page is paused. */
export function useEvery(every: number, span?: Range | Span) {
  const paused = usePaused()
  const range = typeof span === 'object' ? ('range' in span ? span.range : '0..1') : span
  const ms = range !== undefined && !endsNow(range) ? Math.max(every, pastEvery) : every
  return (query: { state: { error: Error | null } }): number | false => (paused ? false : query.state.error ? Math.max(ms, 15_000) : ms)
}

/** The dimensions and the values that they have. */
export function useDimensionList() {
  return useQuery({
    queryKey: ['dimensions'],
    queryFn: ({ signal }) => getJSON<DimensionList>('/api/v1/dimensions', {}, signal),
    refetchInterval: useEvery(60_000),
  })
}

/** Who asks, and what they may. */
export function useMe() {
  return useQuery({
    queryKey: ['me'],
    queryFn: ({ signal }) => getJSON<Me>('/api/v1/auth/me', {}, signal),
    staleTime: Number.POSITIVE_INFINITY,
  })
}

export type Entrance = { do: 'login'; username: string; password: string } | { do: 'logout' }

/** Logs in or out. What was read before is forgotten: the next one may not be allowed to see it. */
export function useEntrance() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (e: Entrance) =>
      e.do === 'logout'
        ? sendJSON<LoggedOut | undefined>('POST', '/api/v1/auth/logout')
        : sendJSON<unknown>('POST', '/api/v1/auth/login', { username: e.username, password: e.password }),
    onSuccess: async (answer, e) => {
      queries.setQueryData<boolean>(['me', 'left'], e.do === 'logout')
      const { location } = (e.do === 'logout' && (answer as LoggedOut | undefined)) || {}
      if (location) {
        window.location.assign(location) // out of the identity provider too
        return
      }
      await queries.fetchQuery({ queryKey: ['me'], queryFn: () => getJSON<Me>('/api/v1/auth/me'), staleTime: 0 })
      queries.removeQueries({ predicate: (q) => q.queryKey[0] !== 'me' })
    },
  })
}

/** Changes one's own password. The server renews this login and ends the others. */
export function usePassword() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (p: PasswordInput) => sendJSON<unknown>('POST', '/api/v1/auth/password', p),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['me'], exact: true }),
  })
}

export function useUsers() {
  return useQuery({ queryKey: ['users'], queryFn: ({ signal }) => getJSON<UserList>('/api/v1/users', {}, signal) })
}

export type UserAction =
  | { do: 'create'; user: UserInput }
  | { do: 'update'; name: string; change: { role: Role; password?: string } }
  | { do: 'delete'; name: string }

export function useUserAction() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (a: UserAction) => {
      if (a.do === 'create') return sendJSON<unknown>('POST', '/api/v1/users', a.user)
      const path = `/api/v1/users/${encodeURIComponent(a.name)}`
      return a.do === 'update' ? sendJSON<unknown>('PUT', path, a.change) : sendJSON<unknown>('DELETE', path)
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['users'] }),
  })
}

export function useTokens() {
  return useQuery({ queryKey: ['tokens'], queryFn: ({ signal }) => getJSON<TokenList>('/api/v1/tokens', {}, signal) })
}

export function useNewToken() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (token: TokenInput) => sendJSON<NewToken>('POST', '/api/v1/tokens', token),
    onSettled: () => queries.invalidateQueries({ queryKey: ['tokens'] }),
  })
}

export function useRevoke() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (id: string) => sendJSON<undefined>('DELETE', `/api/v1/tokens/${encodeURIComponent(id)}`),
    onSettled: () => queries.invalidateQueries({ queryKey: ['tokens'] }),
  })
}

export function useConfig() {
  return useQuery({
    queryKey: ['config'],
    queryFn: ({ signal }) => getJSON<Config>('/api/v1/config', {}, signal),
    staleTime: Number.POSITIVE_INFINITY,
  })
}

export function useOperations(service: string, range: Range, enabled = true) {
  return useQuery({
    queryKey: ['operations', service, range],
    queryFn: ({ signal }) =>
      getJSON<OperationList>(`/api/v1/services/${encodeURIComponent(service)}/operations`, { ...timesOf(range) }, signal),
    refetchInterval: useEvery(3_000, range),
    placeholderData: keepPreviousData,
    enabled,
  })
}

export function useServiceMetrics(service: string, operation: string, range: Range) {
  return useQuery({
    queryKey: ['metrics', service, operation, range],
    queryFn: ({ signal }) =>
      getJSON<ServiceMetrics>(`/api/v1/services/${encodeURIComponent(service)}/metrics`, { ...timesOf(range), operation }, signal),
    refetchInterval: useEvery(5_000, range),
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
    placeholderData: keepPreviousData,
  })
}

const ofRule = (id: string) => `/api/v1/alerts/${encodeURIComponent(id)}`

export type RuleAction = { do: 'create'; rule: RuleInput } | { do: 'update'; id: string; rule: RuleInput } | { do: 'delete'; id: string }

export function useRuleAction() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (a: RuleAction) => {
      if (a.do === 'create') return sendJSON<RuleAnswer>('POST', '/api/v1/alerts', a.rule)
      return a.do === 'update' ? sendJSON<RuleAnswer>('PUT', ofRule(a.id), a.rule) : sendJSON<undefined>('DELETE', ofRule(a.id))
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['rules'] }),
  })
}

/** What rules would have done. An answer is kept: the same question over the same past has the same answer. */
export function useBacktest(request: BacktestRequest | undefined) {
  return useQuery({
    queryKey: ['backtest', request],
    queryFn: ({ signal }) => sendJSON<BacktestAnswer>('POST', '/api/v1/alerts/backtest', request, signal),
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    enabled: request !== undefined,
  })
}

const alertmanager = '/alertmanager/api/v2'

/** Alertmanager's silences; an error where notifications are off. */
export function useSilences() {
  return useQuery({
    queryKey: ['silences'],
    queryFn: ({ signal }) => getJSON<Silence[]>(`${alertmanager}/silences`, {}, signal),
    refetchInterval: useEvery(10_000),
    retry: false,
  })
}

export type SilenceAction = { do: 'make'; silence: SilenceInput } | { do: 'end'; id: string }

export function useSilenceAction() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (a: SilenceAction) =>
      a.do === 'make'
        ? sendJSON<{ silenceID: string } | undefined>('POST', `${alertmanager}/silences`, a.silence)
        : sendJSON<undefined>('DELETE', `${alertmanager}/silence/${encodeURIComponent(a.id)}`),
    onSettled: () => queries.invalidateQueries({ queryKey: ['silences'] }),
  })
}

const topicBacktests = '/api/v1/alerts/backtests'

/** Begins a backtest over what the topics hold, and cancels it. */
export function useTopicBacktestAction() {
  return useMutation({
    mutationFn: (a: { do: 'start'; request: BacktestRequest } | { do: 'cancel'; id: string }) =>
      a.do === 'start'
        ? sendJSON<TopicBacktest>('POST', topicBacktests, a.request)
        : sendJSON<undefined>('DELETE', `${topicBacktests}/${encodeURIComponent(a.id)}`),
  })
}

/** How far it is, and its result once it is done. */
export function useTopicBacktest(id: string | undefined) {
  return useQuery({
    queryKey: ['topic-backtest', id],
    queryFn: ({ signal }) => getJSON<TopicBacktest>(`${topicBacktests}/${encodeURIComponent(id ?? '')}`, {}, signal),
    refetchInterval: (q) => (q.state.data === undefined || q.state.data.state === 'running' ? 500 : false),
    refetchOnWindowFocus: false,
    enabled: id !== undefined,
  })
}

/** Lists that are read on page by page and go on changing. */
function useGrowing<T extends { next?: string }>(name: string, path: string, query: Query, limit: number) {
  return useInfiniteQuery({
    queryKey: [name, query, limit],
    queryFn: ({ pageParam, signal }) => getJSON<T>(path, { ...query, limit, next: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next,
    refetchInterval: useEvery(5_000),
    placeholderData: keepPreviousData,
  })
}

export const useNotifications = (receiver: string) =>
  useGrowing<NotificationList>('notifications', '/api/v1/alerts/notifications', { receiver }, 20)

export const useAudit = (kind: string) => useGrowing<AuditList>('audit', '/api/v1/audit', { kind }, 20)

export function useReceivers() {
  return useQuery({
    queryKey: ['receivers'],
    queryFn: ({ signal }) => getJSON<ReceiverList>('/api/v1/receivers', {}, signal),
    refetchInterval: useEvery(10_000),
  })
}

export function useReceiverTest() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (name: string) => sendJSON<ReceiverTest>('POST', `/api/v1/receivers/${encodeURIComponent(name)}/test`),
    onSettled: () => {
      void queries.invalidateQueries({ queryKey: ['receivers'] })
      return queries.invalidateQueries({ queryKey: ['notifications'] })
    },
  })
}

/** A list that is read page by page. It stays as it is until it is asked for again: rows that are read must not move away. */
function usePages<T extends { next?: string }>(path: string, query: Query, span: Span, limit: number, enabled = true) {
  return useInfiniteQuery({
    queryKey: [path, query, span, limit],
    queryFn: ({ pageParam, signal }) => getJSON<T>(path, { ...query, ...timesOf(span), limit, next: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next,
    refetchOnWindowFocus: false,
    enabled,
  })
}

export const useTraces = (query: Query, span: Span, limit: number, enabled: boolean) =>
  usePages<TraceList>('/api/v1/traces', query, span, limit, enabled)

const sampleSize = 1_000

/** The newest traces that match, to draw and to count. */
export function useTraceSample(query: Query, span: Span, enabled: boolean) {
  return useQuery({
    queryKey: ['trace sample', query, span],
    queryFn: ({ signal }) => getJSON<TraceList>('/api/v1/traces', { ...query, ...timesOf(span), limit: sampleSize }, signal),
    refetchOnWindowFocus: false,
    placeholderData: keepPreviousData,
    enabled,
  })
}

/** How many traces match, by start and duration: all of them, not those of a list. */
export function useTraceHeatmap(query: Query, span: Span, columns: number, enabled: boolean) {
  return useQuery({
    queryKey: ['trace heatmap', query, span, columns],
    queryFn: ({ signal }) => getJSON<TraceHeatmap>('/api/v1/traces/heatmap', { ...query, ...timesOf(span), columns }, signal),
    refetchOnWindowFocus: false,
    placeholderData: keepPreviousData,
    enabled,
  })
}

/** Statistics of the kept spans that match: groups by an attribute, and how some spans differ from the others. */
export function useSpanAnalysis(query: Query, span: Span, enabled: boolean) {
  return useQuery({
    queryKey: ['span analysis', query, span],
    queryFn: ({ signal }) => getJSON<SpanAnalysis>('/api/v1/spans/analysis', { ...query, ...timesOf(span) }, signal),
    refetchOnWindowFocus: false,
    placeholderData: keepPreviousData,
    enabled,
  })
}

export const useLogs = (query: Query, span: Span, enabled: boolean) => usePages<LogList>('/api/v1/logs', query, span, 100, enabled)

export function useTrace(id: string) {
  return useQuery({
    queryKey: ['trace', id],
    queryFn: ({ signal }) => getJSON<TraceAnswer>(`/api/v1/traces/${encodeURIComponent(id)}`, {}, signal),
    refetchOnWindowFocus: false,
  })
}

/** How long the operations of a trace usually take. */
export function useTraceBaselines(id: string) {
  return useQuery({
    queryKey: ['trace', id, 'baselines'],
    queryFn: ({ signal }) => getJSON<TraceBaselines>(`/api/v1/traces/${encodeURIComponent(id)}/baselines`, {}, signal),
    refetchOnWindowFocus: false,
    staleTime: Number.POSITIVE_INFINITY,
  })
}

/** Width of a step that cuts a span of time into about so many, in whole buckets. */
export const stepFor = (seconds: number, steps: number): number => Math.max(10, Math.ceil(seconds / steps / 10) * 10)

export const errorStep = (range: Range): number => stepFor(rangeSeconds(range), 48)

export function useExceptions(service: string, type: string, onlyNew: boolean, range: Range) {
  return useInfiniteQuery({
    queryKey: ['exceptions', service, type, onlyNew, range],
    queryFn: ({ pageParam, signal }) => {
      const start = rangeStart(range)
      const query = {
        service,
        type,
        ...timesOf(range),
        new_since: onlyNew ? start : undefined,
        step: `${errorStep(range)}s`,
        limit: 100,
        next: pageParam,
      }
      return getJSON<ExceptionList>('/api/v1/exceptions', query, signal)
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next,
    refetchInterval: useEvery(10_000),
    placeholderData: keepPreviousData,
  })
}

/** Exceptions of one type and message: where they occur, and a recent one. */
export function useException(id: string, range: Range) {
  return useQuery({
    queryKey: ['exception', id, range],
    queryFn: ({ signal }) =>
      getJSON<ExceptionAnswer>(`/api/v1/exceptions/${encodeURIComponent(id)}`, { ...timesOf(range), step: `${errorStep(range)}s` }, signal),
    refetchInterval: useEvery(10_000, range),
    placeholderData: keepPreviousData,
    retry: false,
  })
}

/** Lists of the derived views that are answered whole. */
function useDerived<T>(name: string, service: string, range: Range) {
  return useQuery({
    queryKey: [name, service, range],
    queryFn: ({ signal }) => getJSON<T>(`/api/v1/${name}`, { service, ...timesOf(range) }, signal),
    refetchInterval: useEvery(10_000, range),
    placeholderData: keepPreviousData,
  })
}

export const useDatabases = (service: string, range: Range) => useDerived<DatabaseList>('databases', service, range)
export const useMessaging = (service: string, range: Range) => useDerived<MessagingAnswer>('messaging', service, range)
export const useExternal = (service: string, range: Range) => useDerived<ExternalList>('external', service, range)

/** Versions first seen in the range. */
export function useDeployments(service: string, range: Range, limit: number) {
  return useQuery({
    queryKey: ['deployments', service, range, limit],
    queryFn: ({ signal }) => getJSON<DeploymentList>('/api/v1/deployments', { service, ...timesOf(range), limit }, signal),
    refetchInterval: useEvery(10_000, range),
    placeholderData: keepPreviousData,
  })
}

/** Versions first seen within the last day, the newest first. */
export function useNewVersions() {
  return useQuery({
    queryKey: ['deployments', 'day'],
    queryFn: ({ signal }) => getJSON<DeploymentList>('/api/v1/deployments', { ...timesOf('24h'), limit: 500 }, signal),
    refetchInterval: useEvery(30_000),
  })
}

/** The map, each edge with how it differs from another range. */
export function useMapDifference(range: Range, compare: string) {
  return useQuery({
    queryKey: ['difference', range, compare],
    queryFn: ({ signal }) => {
      const [compare_start, compare_end] = comparedTimes(compare, range) ?? []
      return getJSON<ServiceMap>('/api/v1/servicemap', { ...timesOf(range), compare_start, compare_end }, signal)
    },
    refetchInterval: useEvery(10_000, range),
    placeholderData: keepPreviousData,
    enabled: comparedTimes(compare, range) !== undefined,
  })
}

export function useReplays() {
  return useQuery({
    queryKey: ['replays'],
    queryFn: ({ signal }) => getJSON<ReplayList>('/api/v1/replays', {}, signal),
    refetchInterval: useEvery(2_000),
  })
}

export type ReplayAction = { do: 'start'; request: ReplayRequest } | { do: 'pause' | 'resume' | 'cancel'; id: string }

export function useReplayAction() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (a: ReplayAction) => {
      if (a.do === 'start') return sendJSON<Replay>('POST', '/api/v1/replays', a.request)
      const path = `/api/v1/replays/${encodeURIComponent(a.id)}`
      return a.do === 'cancel' ? sendJSON<undefined>('DELETE', path) : sendJSON<Replay>('POST', `${path}/${a.do}`)
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['replays'] }),
  })
}

export interface Matrix {
  data: { result: { metric: Record<string, string>; values: [number, string][] }[] }
}

const sparkPoints = 48

/** The requests of every service over the range, for sparklines: one answer for all rows. */
export function useTrends(range: Range) {
  const step = Math.max(10, Math.round(rangeSeconds(range) / sparkPoints / 10) * 10)
  return useQuery({
    queryKey: ['trends', range],
    queryFn: ({ signal }) => getJSON<ServiceTrends>('/api/v1/servicetrends', { ...timesOf(range), step: `${step}s` }, signal),
    select: trendsByService,
    structuralSharing: false, // comparing thousands of numbers costs more than drawing the rows in view
    refetchInterval: useEvery(Math.max(10_000, step * 500), range),
    placeholderData: keepPreviousData,
  })
}

const trendsByService = (t: ServiceTrends): Map<string, ServiceTrend> => new Map(t.services.map((s) => [serviceKey(s), s]))
