import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useDeferredValue, useMemo } from 'react'
import { getJSON } from '../api/client'
import { useMapDifference } from '../api/queries'
import type { Alert, Edge, ServiceHealth, ServiceMap } from '../api/types'
import { alertsByService } from '../lib/health'
import { endsNow, type Range, rangeEnd, rangeSeconds, rangeStart } from '../lib/range'
import { useLive } from '../live/use-live'
import { edgeKey, pollOf, serviceKey, type Views } from '../live/views'
import type { Facts } from './boxes'
import { comparedTimes } from './difference'
import { momentRange, windowOf } from './moment'

const every = '2s' // numbers of a minute need not follow each commit

export interface MapData {
  map: ServiceMap | undefined
  /** Edges of the whole range, with the numbers of the time that is shown. */
  edges: Edge[] | undefined
  facts: Facts
  /** Whether health is known, or will not be. */
  judged: boolean
  comparing: boolean
  /** The times that the numbers are of. */
  shown: Range
  /** What they are compared with; empty for nothing. */
  compared: string
  /** The moment that was chosen is the one that is shown. */
  settled: boolean
  error: string | Error | null | undefined
}

const noAlerts: ReadonlyMap<string, Alert[]> = new Map()
const noCalls = { calls: 0, failed: 0, client_p95_ms: 0, server_p95_ms: 0 }

/**
 * The map of the range. With a moment its boxes and lines stay, and their numbers are those of that moment; compared with another
 * time, its edges are those of both.
 */
export function useMapData(range: Range, at: number | undefined, pin: number | undefined, compare: string): MapData {
  const window = windowOf(range)
  const moment = momentRange(at ?? (endsNow(range) ? undefined : rangeEnd(range)), window)
  const shown = at !== undefined || pin !== undefined ? moment : range
  const compared = pin !== undefined ? `${pin - window}..${pin}` : compare
  const comparing = comparedTimes(compared, shown) !== undefined
  const whole = useLive('servicemap', { range, every })
  const health = useLive('servicehealth', { range, every })
  const alerts = useLive('alerts', { every }).data?.alerts
  const then = useMoment('servicemap', moment, at !== undefined)
  const healthThen = useMoment('servicehealth', moment, at !== undefined)
  const difference = useMapDifference(shown, compared)
  // What comes live is drawn in slices: a map of thousands of services would hold up what the user does.
  const judged = useDeferredValue((at === undefined ? undefined : healthThen.data) ?? health.data)
  const map = useDeferredValue(comparing ? difference.data : whole.data)
  const edges = useMemo(
    () => (map === undefined || comparing || at === undefined || !then.data ? map?.edges : edgesAt(map.edges, then.data.edges)),
    [map, comparing, at, then.data],
  )
  const since = map?.meta.since
  const seconds = secondsCounted(shown, since)
  const facts = useMemo(
    (): Facts => ({
      health: new Map(judged?.services.map((s): [string, ServiceHealth] => [serviceKey(s), s])),
      alerts: at === undefined ? alertsByService(alerts ?? []) : noAlerts, // which alerts were active then is not known
      seconds,
      comparing,
    }),
    [judged, alerts, at, seconds, comparing],
  )
  const error = comparing ? difference.error : (whole.error ?? then.error ?? healthThen.error)
  const known = judged !== undefined || health.error !== undefined
  const settled = at === undefined || !(then.isPlaceholderData || then.isPending || healthThen.isPlaceholderData || healthThen.isPending)
  return useMemo(
    () => ({ map, edges, facts, judged: known, comparing, shown, compared, settled, error }),
    [map, edges, facts, known, comparing, shown, compared, settled, error],
  )
}

/** A view as it was in a time that is over. While another is read the one before stays. */
function useMoment<V extends 'servicemap' | 'servicehealth'>(view: V, moment: Range, enabled: boolean) {
  return useQuery({
    queryKey: ['moment', view, moment],
    queryFn: ({ signal }) => {
      const { path, query } = pollOf(view, { range: moment })
      return getJSON<Views[V]>(path, query, signal)
    },
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    enabled,
  })
}

/** In steps, so that a range that ends now does not change with each second. */
function secondsCounted(range: Range, since: string | null | undefined): number {
  const began = since ? Date.parse(since) / 1000 : 0
  const length = rangeEnd(range) - Math.max(rangeStart(range), began)
  return Math.max(10, Math.min(rangeSeconds(range), Math.round(length / 10) * 10))
}

/** The edges of the range with the numbers of a moment; those without calls then have none. */
function edgesAt(all: readonly Edge[], then: readonly Edge[]): Edge[] {
  const numbers = new Map(then.map((e) => [edgeKey(e), e]))
  return all.map((e) => numbers.get(edgeKey(e)) ?? { ...e, ...noCalls })
}
