import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { createContext, useCallback, useContext, useSyncExternalStore } from 'react'
import { getJSON } from '../api/client'
import { useDimensions } from '../lib/dimensions'
import { endsNow, liveLength } from '../lib/range'
import type { LiveClient, Shown, Status } from './client'
import { seldom } from './seldom'
import { type Filter, narrow, pollOf, type ViewName, type Views } from './views'

export const LiveContext = createContext<LiveClient | null>(null)

export function useLiveClient(): LiveClient {
  const client = useContext(LiveContext)
  if (client === null) throw new Error('no LiveContext')
  return client
}

const noListener = () => () => {}
const none = { data: undefined, error: undefined }

/**
 * A live view: what was last heard of it, or what was shown when the page was paused. Of a range that the server does not keep
 * live, because it ends in the past or is long, the same is read by GET. With `every`, a duration as 2s, changes come at most so often.
 */
export function useLive<V extends ViewName>(view: V, filter: Filter = {}): Shown<V> {
  const client = useLiveClient()
  const { range, service, state, every } = filter
  const chosen = useDimensions()
  const narrowed = Object.keys(chosen).length > 0 && (view === 'services' || view === 'servicehealth' || view === 'servicemap')
  const length = range === undefined ? undefined : liveLength(range)
  const live = range === undefined || length !== undefined
  const paused = usePaused()
  const read = useQuery({
    queryKey: ['view', view, range, service, state],
    queryFn: async ({ signal }) => {
      const { path, query } = pollOf(view, filter)
      return narrow(view, filter, await getJSON<Views[V]>(path, query, signal))
    },
    refetchInterval: paused ? false : range !== undefined && endsNow(range) ? 5_000 : 60_000,
    placeholderData: keepPreviousData,
    enabled: !live,
  })
  const text = JSON.stringify({ range: length, service, state, every, dimensions: narrowed ? chosen : undefined })
  const subscribe = useCallback(
    (listener: () => void) => client.subscribe(view, JSON.parse(text) as Filter, listener),
    [client, view, text],
  )
  const shown = useSyncExternalStore(live ? subscribe : noListener, () => (live ? client.shown(view, JSON.parse(text) as Filter) : none))
  return live ? shown : { data: read.data, error: read.error?.message }
}

/** How the data comes. A change of mode shows at once; how fresh the data is, at most once a second, whatever comes. */
export function useLiveStatus(): Status {
  const client = useLiveClient()
  const subscribe = useCallback(
    (listener: () => void) => {
      const slow = seldom(listener, 1_000)
      let before = client.getStatus()
      const end = client.onStatus(() => {
        const now = client.getStatus()
        const same = now.mode === before.mode && now.paused === before.paused && now.stale === before.stale
        before = now
        if (same) slow.call()
        else listener()
      })
      return () => {
        slow.stop()
        end()
      }
    },
    [client],
  )
  return useSyncExternalStore(subscribe, client.getStatus)
}

/** Whether the page is paused. Unlike the whole status it does not change with every frame. */
export function usePaused(): boolean {
  const client = useLiveClient()
  return useSyncExternalStore(client.onStatus, () => client.getStatus().paused)
}

/** What is made of a live view: a text, so that what uses it is drawn again only when that changes. */
export function useLiveText<V extends ViewName>(view: V, text: (data: Views[V]) => string, filter: Filter = noFilter): string | undefined {
  const client = useLiveClient()
  const subscribe = useCallback((listener: () => void) => client.subscribe(view, filter, listener), [client, view, filter])
  return useSyncExternalStore(subscribe, () => {
    const { data } = client.shown(view, filter)
    return data === undefined ? undefined : text(data)
  })
}

const noFilter: Filter = {}
