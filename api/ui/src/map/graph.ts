import type { Edge, MapNode } from '../api/types'
import { dimensionText, dimensionValues } from '../live/views'

export interface GraphNode {
  id: string
  name: string
  label: string
  type: MapNode['type']
}
export interface GraphLine {
  from: string
  to: string
  edge: Edge
}

/** The nodes that the edges touch. A node is its name, its type, the system of a database and the dimensions of a service. */
export function graphOf(edges: Edge[]): { shown: GraphNode[]; lines: GraphLine[] } {
  const shown = new Map<string, GraphNode>()
  const node = (name: string, type: MapNode['type'], dimensions?: Record<string, string>, system?: string): string => {
    const id = [type, name, system, dimensionText(dimensions)].filter(Boolean).join(' ')
    const values = dimensionValues(dimensions)
    if (!shown.has(id)) shown.set(id, { id, name, label: values ? `${name} (${values})` : name, type })
    return id
  }
  const lines = edges.map(
    (edge): GraphLine => ({
      from: node(edge.client, edge.client_type, edge.client_dimensions),
      to: node(edge.server, edge.server_type, edge.server_dimensions, edge.server_system),
      edge,
    }),
  )
  return { shown: [...shown.values()], lines }
}
