import type { Edge, MapNode } from '../api/types'
import { virtualEnd } from '../components/edge'

export interface GraphNode {
  id: string
  name: string
  type: MapNode['type']
}
export interface GraphLine {
  from: string
  to: string
  edge: Edge
}

/** The nodes that the edges touch. What is no service is a node of its own, though a service may have its name. */
export function graphOf(nodes: MapNode[], edges: Edge[]): { shown: GraphNode[]; lines: GraphLine[] } {
  const services = new Set(nodes.filter((n) => n.type === 'service').map((n) => n.name))
  const shown = new Map<string, GraphNode>()
  const node = (name: string, virtual: boolean, edge: Edge): string => {
    const kind = edge.connection_type === 'database' || edge.connection_type === 'messaging_system' ? edge.connection_type : 'virtual_node'
    const type = virtual ? kind : 'service'
    const id = virtual ? `${kind} ${name}` : `service ${name}`
    if (!shown.has(id)) shown.set(id, { id, name, type })
    return id
  }
  const lines = edges.map((edge): GraphLine => {
    const virtual = virtualEnd(edge, services)
    return { from: node(edge.client, virtual === 'client', edge), to: node(edge.server, virtual === 'server', edge), edge }
  })
  return { shown: [...shown.values()], lines }
}
