import { createContext, useContext, useMemo } from 'react'
import type { Edge, MapNode } from '../api/types'
import { none, percent } from '../lib/format'
import { shareClass } from '../lib/health'
import { ServiceLink } from './bits'

export function ConnectionType({ type }: { type: string }) {
  return (
    <span className="dim">
      {type === '' ? 'request' : type === 'messaging_system' ? 'messaging' : type === 'virtual_node' ? 'not instrumented' : type}
    </span>
  )
}

export function Failed({ edge }: { edge: Edge }) {
  if (edge.calls === 0) return <>{none}</>
  return <span className={shareClass(edge.failed / edge.calls)}>{percent(edge.failed / edge.calls)}</span>
}

/** Names of the nodes that are services. */
export const ServiceNames = createContext<ReadonlySet<string>>(new Set())

export function useServiceNames(nodes: MapNode[] | undefined): ReadonlySet<string> {
  const key = JSON.stringify((nodes ?? []).filter((n) => n.type === 'service').map((n) => n.name))
  return useMemo(() => new Set(JSON.parse(key) as string[]), [key])
}

/**
 * The end of an edge that is no service of its own. A name alone does not tell: `user` is both who calls from outside and what
 * many shops call one of their services.
 */
export function virtualEnd(edge: Edge, services: ReadonlySet<string>): 'client' | 'server' | undefined {
  if (edge.connection_type === 'database') return 'server'
  if (edge.connection_type === 'virtual_node') return edge.client === 'user' && services.has(edge.server) ? 'client' : 'server'
  return services.has(edge.server) ? undefined : 'server'
}

/** A link where the end is a service; databases, topics and what is not instrumented have no page. */
export function EdgeEnd({ edge, end, row }: { edge: Edge; end: 'client' | 'server'; row?: boolean }) {
  if (virtualEnd(edge, useContext(ServiceNames)) === end) {
    return (
      <span className="name" title={edge[end]} tabIndex={row ? -1 : undefined} data-row-link={row || undefined}>
        {edge[end]}
      </span>
    )
  }
  return <ServiceLink name={edge[end]} row={row ?? false} />
}
