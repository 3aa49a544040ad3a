import { createContext, useCallback, useContext, useSyncExternalStore } from 'react'
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
  const subscribe = useCallback(
    (listener: () => void) => client.subscribe(view, defined({ range, service, state }), listener),
    [client, view, range, service, state],
  )
  return useSyncExternalStore(subscribe, () => client.shown(view, defined({ range, service, state })))
}

export function useLiveStatus(): Status {
  const client = useLiveClient()
  return useSyncExternalStore(client.onStatus, client.getStatus)
}

function defined(f: Filter): Filter {
  return JSON.parse(JSON.stringify(f)) as Filter
}
