import { createContext, useCallback, useContext, useSyncExternalStore } from 'react'
import { useDimensions } from '../lib/dimensions'
import type { LiveClient, Shown, Status } from './client'
import type { Filter, ViewName } from './views'

export const LiveContext = createContext<LiveClient | null>(null)

export function useLiveClient(): LiveClient {
  const client = useContext(LiveContext)
  if (client === null) throw new Error('no LiveContext')
  return client
}

/** A live view: what was last heard of it, or what was shown when the page was paused. */
export function useLive<V extends ViewName>(view: V, filter: Filter = {}): Shown<V> {
  const client = useLiveClient()
  const { range, service, state } = filter
  const chosen = useDimensions()
  const narrowed = Object.keys(chosen).length > 0 && (view === 'services' || view === 'servicemap')
  const text = JSON.stringify({ range, service, state, dimensions: narrowed ? chosen : undefined })
  const subscribe = useCallback(
    (listener: () => void) => client.subscribe(view, JSON.parse(text) as Filter, listener),
    [client, view, text],
  )
  return useSyncExternalStore(subscribe, () => client.shown(view, JSON.parse(text) as Filter))
}

export function useLiveStatus(): Status {
  const client = useLiveClient()
  return useSyncExternalStore(client.onStatus, client.getStatus)
}
