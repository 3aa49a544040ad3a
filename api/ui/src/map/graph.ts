import type { Edge, MapNode } from '../api/types'
import { dimensionText, dimensionValues, serviceKey } from '../live/views'

export interface GraphNode {
  id: string
  name: string
  /** Its name, with the values of its dimensions where another node has the same name. */
  label: string
  type: MapNode['type']
  /** Key of a service in the list of health. */
  key: string
  namespace: string
}
export interface GraphLine {
  from: string
  to: string
  edge: Edge
}
export interface Graph {
  shown: GraphNode[]
  lines: GraphLine[]
}

const namespaceName = 'service.namespace'

/** The nodes that the edges touch. A node is its name, its type, the system of a database and the dimensions of a service. */
export function graphOf(edges: readonly Edge[]): Graph {
  const shown = new Map<string, GraphNode>()
  const values = new Map<string, string>()
  const node = (name: string, type: MapNode['type'], dimensions?: Record<string, string>, system?: string): string => {
    const id = [type, name, system, dimensionText(dimensions)].filter(Boolean).join(' ')
    if (!shown.has(id)) {
      const key = dimensions ? serviceKey({ name, dimensions }) : name
      shown.set(id, { id, name, label: name, type, key, namespace: dimensions?.[namespaceName] ?? '' })
      values.set(id, dimensionValues(dimensions))
    }
    return id
  }
  const lines = edges.map(
    (edge): GraphLine => ({
      from: node(edge.client, edge.client_type, edge.client_dimensions),
      to: node(edge.server, edge.server_type, edge.server_dimensions, edge.server_system),
      edge,
    }),
  )
  const names = new Map<string, number>()
  for (const n of shown.values()) names.set(`${n.type} ${n.name}`, (names.get(`${n.type} ${n.name}`) ?? 0) + 1)
  for (const n of shown.values()) {
    const own = values.get(n.id)
    if (own && (names.get(`${n.type} ${n.name}`) ?? 0) > 1) n.label = `${n.name} (${own})`
  }
  return { shown: [...shown.values()], lines }
}

/** The nodes within so many calls of those named, in either direction: the nearest first, at most so many. */
export function within(lines: readonly GraphLine[], from: readonly string[], depth: number, most = Number.POSITIVE_INFINITY): Set<string> {
  const beside = new Map<string, string[]>()
  const add = (a: string, b: string) => {
    const list = beside.get(a)
    if (list) list.push(b)
    else beside.set(a, [b])
  }
  for (const l of lines) {
    add(l.from, l.to)
    add(l.to, l.from)
  }
  const out = new Set(from.slice(0, most))
  let ring = [...out]
  for (let d = 0; d < depth && ring.length > 0; d++) {
    const next: string[] = []
    for (const id of ring) {
      for (const other of beside.get(id) ?? []) {
        if (out.has(other)) continue
        if (out.size >= most) return out
        out.add(other)
        next.push(other)
      }
    }
    ring = next
  }
  return out
}

/** How the URL names a node: a service by its name where no other has it, else by its id. */
export function paramOfNode(n: GraphNode): string {
  return n.type === 'service' && n.label === n.name ? n.name : n.id
}

export function nodeOfParam(shown: readonly GraphNode[], text: string): GraphNode | undefined {
  if (text === '') return undefined
  return shown.find((n) => n.id === text) ?? shown.find((n) => n.type === 'service' && n.name === text)
}
