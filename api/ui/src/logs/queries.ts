import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { getJSON, type Query } from '../api/client'
import { stepFor, useEvery } from '../api/queries'
import type { LogContext, LogLine, LogPatternList, LogVolume } from '../api/types'
import { type Span, secondsOf, timesOf } from '../lib/range'
import { type LineFilter, queryOf } from './filter'
import { instanceOf } from './line'

/** Lines over time. What only the lines themselves can answer is asked for less often. */
export function useLogVolume(filter: LineFilter, span: Span, enabled: boolean) {
  const step = stepFor(secondsOf(span), 90)
  const read = filter.text !== '' || filter.pattern !== '' || filter.trace_id !== '' || filter.conditions.length > 0
  return useQuery({
    queryKey: ['volume', filter, span],
    queryFn: ({ signal }) => getJSON<LogVolume>('/api/v1/logs/volume', { ...queryOf(filter), step: `${step}s`, ...timesOf(span) }, signal),
    refetchInterval: useEvery(read ? 30_000 : 10_000, span),
    placeholderData: keepPreviousData,
    enabled,
  })
}

export function useLogPatterns(service: string, span: Span) {
  return useQuery({
    queryKey: ['patterns', service, span],
    queryFn: ({ signal }) => getJSON<LogPatternList>('/api/v1/logs/patterns', { service, limit: 500, ...timesOf(span) }, signal),
    refetchInterval: useEvery(10_000, span),
    placeholderData: keepPreviousData,
  })
}

/** The lines before and after a line: of its service, or only of the instance that wrote it. */
export function useLogContext(line: LogLine, lines: number, sameInstance: boolean) {
  const instance = sameInstance ? instanceOf(line) : undefined
  const query: Query = {
    time: line.time,
    line: line.id,
    service: line.service,
    attributes: instance === undefined ? [] : [instance.condition],
    before: lines,
    after: lines,
  }
  return useQuery({
    queryKey: ['log context', query],
    queryFn: ({ signal }) => getJSON<LogContext>('/api/v1/logs/context', query, signal),
    placeholderData: keepPreviousData,
    refetchOnWindowFocus: false,
  })
}
