import type { Query } from '../api/client'
import type {
  Alert,
  AlertList,
  Edge,
  MapNode,
  Meta,
  Pipeline,
  Service,
  ServiceHealth,
  ServiceHealthList,
  ServiceList,
  ServiceMap,
  TimeRange,
} from '../api/types'
import { timesOf } from '../lib/range'

/** What can be subscribed to. A snapshot is the answer of the GET of the same name. */
export interface Views {
  services: ServiceList
  servicehealth: ServiceHealthList
  servicemap: ServiceMap
  alerts: AlertList
  pipeline: Pipeline
}
export type ViewName = keyof Views
export type Filter = { range?: string; service?: string; state?: string; every?: string; dimensions?: Record<string, string> }

export interface Deltas {
  services: { services: Service[]; removed: string[]; meta: Meta }
  servicehealth: { services: ServiceHealth[]; removed: string[]; now: TimeRange; baseline: TimeRange | null; meta: Meta }
  servicemap: {
    nodes: MapNode[]
    edges: Edge[]
    removed: EdgeName[]
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

type EdgeName = Pick<
  Edge,
  'client' | 'server' | 'connection_type' | 'client_type' | 'server_type' | 'client_dimensions' | 'server_dimensions' | 'server_system'
>

/** Dimensions as one text, ordered by name, as the server writes it in the keys of what left. */
export const dimensionText = (d: Record<string, string> | undefined): string =>
  Object.keys(d ?? {})
    .sort()
    .map((name) => `${name}=${d?.[name]},`)
    .join('')

/** The values of dimensions, to show beside a name. */
export const dimensionValues = (d: Record<string, string> | undefined): string =>
  Object.keys(d ?? {})
    .sort()
    .map((name) => d?.[name])
    .join(', ')

const keysOfServices = new WeakMap<object, string>()

/** The key of a service, made once for each: lists of hundreds are merged several times a second. */
export function serviceKey(s: Pick<Service, 'name' | 'dimensions'>): string {
  if (!s.dimensions) return s.name
  let key = keysOfServices.get(s)
  if (key === undefined) {
    key = `${s.name}\0${dimensionText(s.dimensions)}`
    keysOfServices.set(s, key)
  }
  return key
}

const keysOfEdges = new WeakMap<object, string>()

/** The key of an edge, made once for each as that of a service. */
export function edgeKey(e: EdgeName): string {
  let key = keysOfEdges.get(e)
  if (key === undefined) {
    key = JSON.stringify([
      e.client,
      e.server,
      e.connection_type,
      e.client_type,
      e.server_type,
      dimensionText(e.client_dimensions),
      dimensionText(e.server_dimensions),
      e.server_system ?? '',
    ])
    keysOfEdges.set(e, key)
  }
  return key
}

export const merge: { [V in ViewName]: (old: Views[V], delta: Deltas[V]) => Views[V] } = {
  services(old, d) {
    const services = mergeItems(old.services, d.services, new Set(d.removed), serviceKey)
    return { ...old, services, total: services.length, meta: d.meta }
  },
  servicehealth(old, d) {
    const services = mergeItems(old.services, d.services, new Set(d.removed), serviceKey)
    return { ...old, services, total: services.length, now: d.now, baseline: d.baseline, meta: d.meta }
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
  const times = filter.range === undefined ? {} : timesOf(filter.range)
  switch (view) {
    case 'services':
      return { path: '/api/v1/services', query: { ...times } }
    case 'servicehealth':
      return { path: '/api/v1/servicehealth', query: { ...times } }
    case 'servicemap':
      return { path: '/api/v1/servicemap', query: { ...times } }
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
  if (view === 'servicehealth') {
    const d = data as ServiceHealthList
    return { ...d, services: d.services.filter((s) => s.name === name) } as Views[V]
  }
  if (view === 'servicemap') {
    const d = data as ServiceMap
    return { ...d, edges: d.edges.filter((e) => e.client === name || e.server === name) } as Views[V]
  }
  return data
}
