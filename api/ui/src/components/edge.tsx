import type { Edge } from '../api/types'
import { none, percent } from '../lib/format'
import { shareClass } from '../lib/health'
import { dimensionValues } from '../live/views'
import { ServiceLink } from './bits'
import { Name } from './name'

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

/** A link where the end is a service; databases, topics and what is not instrumented have no page. */
export function EdgeEnd({ edge, end, row }: { edge: Edge; end: 'client' | 'server'; row?: boolean }) {
  if (edge[`${end}_type`] !== 'service') {
    return (
      <span className="name" title={edge[end]} tabIndex={row ? -1 : undefined} data-row-link={row || undefined}>
        <Name of={edge[end]} />
      </span>
    )
  }
  const values = dimensionValues(edge[`${end}_dimensions`])
  return (
    <>
      <ServiceLink name={edge[end]} row={row ?? false} />
      {values && <span className="dim"> {values}</span>}
    </>
  )
}
