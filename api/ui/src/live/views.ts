import type { Query } from '../api/client'
import type { Alert, AlertList, Edge, MapNode, Meta, Pipeline, Service, ServiceList, ServiceMap } from '../api/types'
import { parseRange, rangeStart } from '../lib/range'

/** What can be subscribed to. A snapshot is the answer of the GET of the same name. */
export interface Views {
  services: ServiceList
  servicemap: ServiceMap
  alerts: AlertList
  pipeline: Pipeline
}
export type ViewName = keyof Views
export type Filter = { range?: string; service?: string; state?: string }

export interface Deltas {
  services: { services: Service[]; removed: string[]; meta: Meta }
  servicemap: {
    nodes: MapNode[]
    edges: Edge[]
    removed: Pick<Edge, 'client' | 'server' | 'connection_type'>[]
    unpaired: ServiceMap['unpaired']
    meta: Meta
  }
  alerts: { alerts: Alert[]; removed: string[]; meta: Meta }
  pipeline: Pipeline
}

/**
 * Changed items take the place of those with their key, new ones go to the end, removed ones go. Items that did not change keep
 * their identity, so that their rows are not drawn again.
 */
export function mergeItems<T>(old: T[], changed: T[], removed: Set<string>, key: (item: T) => string): T[] {
  const fresh = new Map(changed.map((item) => [key(item), item]))
  const out: T[] = []
  for (const item of old) {
    const k = key(item)
    const now = fresh.get(k)
    if (now !== undefined) {
      out.push(now)
      fresh.delete(k)
    } else if (!removed.has(k)) {
      out.push(item)
    }
  }
  out.push(...fresh.values())
  return out
}

export const edgeKey = (e: Pick<Edge, 'client' | 'server' | 'connection_type'>): string =>
  JSON.stringify([e.client, e.server, e.connection_type])

export const merge: { [V in ViewName]: (old: Views[V], delta: Deltas[V]) => Views[V] } = {
  services(old, d) {
    const services = mergeItems(old.services, d.services, new Set(d.removed), (s) => s.name)
    return { ...old, services, total: services.length, meta: d.meta }
  },
  servicemap(old, d) {
    const edges = mergeItems(old.edges, d.edges, new Set(d.removed.map(edgeKey)), edgeKey)
    return { nodes: d.nodes, edges, unpaired: d.unpaired, meta: d.meta }
  },
  alerts(old, d) {
    const alerts = mergeItems(old.alerts, d.alerts, new Set(d.removed), (a) => a.fingerprint)
    return { alerts, meta: d.meta }
  },
  pipeline(_, d) {
    return d
  },
}

/** The GET that answers what a subscription shows, for when there is no WebSocket. */
export function pollOf(view: ViewName, filter: Filter): { path: string; query: Query } {
  const start = filter.range === undefined ? undefined : rangeStart(parseRange(filter.range))
  switch (view) {
    case 'services':
      return { path: '/api/v1/services', query: { start } }
    case 'servicemap':
      return { path: '/api/v1/servicemap', query: { start } }
    case 'alerts':
      return { path: '/api/v1/alerts/active', query: { state: filter.state } }
    case 'pipeline':
      return { path: '/api/v1/pipeline', query: {} }
  }
}

/** The part of a GET's answer that a filter selects; the server does this itself for subscriptions. */
export function narrow<V extends ViewName>(view: V, filter: Filter, data: Views[V]): Views[V] {
  const name = filter.service
  if (name === undefined) return data
  if (view === 'services') {
    const d = data as ServiceList
    return { ...d, services: d.services.filter((s) => s.name === name) } as Views[V]
  }
  if (view === 'servicemap') {
    const d = data as ServiceMap
    return { ...d, edges: d.edges.filter((e) => e.client === name || e.server === name) } as Views[V]
  }
  return data
}
