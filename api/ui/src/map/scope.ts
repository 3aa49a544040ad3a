import type { Edge } from '../api/types'
import { type Graph, type GraphNode, within } from './graph'

/** So many boxes are laid out at once; of larger systems the rest is in boxes of namespaces. */
export const most = 250
/** Of a large system so many are drawn by themselves before a namespace is opened. */
const mostFirst = 60

export interface DrawnNode {
  id: string
  name: string
  type: GraphNode['type'] | 'group'
  /** The node itself, or those that a group stands for. */
  members: GraphNode[]
}
export interface DrawnLine {
  id: string
  from: string
  to: string
  edges: Edge[]
}
export interface Scope {
  nodes: DrawnNode[]
  lines: DrawnLine[]
  /** Namespaces of the system, where some are drawn as one box. */
  namespaces: string[]
  /** Nodes that are in no box. */
  left: number
}

export interface Wish {
  /** The node whose neighbourhood is wanted. */
  focus?: string | undefined
  depth: number
  /** Namespaces that are opened. */
  open: ReadonlySet<string>
  /** Nodes that matter most, the first most: they are drawn whatever else is not. */
  first: readonly string[]
}

export const lineID = (from: string, to: string): string => JSON.stringify([from, to])
export const groupID = (namespace: string): string => `group ${namespace}`

/** Which nodes are drawn by themselves, which are together in the box of their namespace, and the calls between these boxes. */
export function scopeOf(graph: Graph, wish: Wish): Scope {
  const all = graph.shown
  if (wish.focus !== undefined) return draw(graph, within(graph.lines, [wish.focus], wish.depth, most))
  if (all.length <= most) return draw(graph, new Set(all.map((n) => n.id)))
  const group = groupsOf(graph)
  const namespaces = [...new Set(group.values())].sort()
  if (namespaces.length < 2) return draw(graph, within(graph.lines, wish.first, 3, most))
  const single = new Set(wish.first.slice(0, mostFirst))
  for (const n of all) {
    if (single.size >= most) break
    if (wish.open.has(group.get(n.id) ?? '')) single.add(n.id)
  }
  return { ...draw(graph, single, group), namespaces }
}

/** The namespace of each node; of what is no service, that of a service beside it. */
function groupsOf({ shown, lines }: Graph): Map<string, string> {
  const out = new Map(shown.filter((n) => n.type === 'service').map((n) => [n.id, n.namespace]))
  for (const l of lines) {
    const [a, b] = [out.get(l.from), out.get(l.to)]
    if (a !== undefined && b === undefined) out.set(l.to, a)
    if (b !== undefined && a === undefined) out.set(l.from, b)
  }
  for (const n of shown) if (!out.has(n.id)) out.set(n.id, '')
  return out
}

function draw({ shown, lines }: Graph, single: ReadonlySet<string>, group?: ReadonlyMap<string, string>): Scope {
  const nodes: DrawnNode[] = []
  const groups = new Map<string, DrawnNode>()
  const place = new Map<string, string>()
  for (const n of shown) {
    const namespace = group?.get(n.id)
    if (single.has(n.id)) {
      nodes.push({ id: n.id, name: n.label, type: n.type, members: [n] })
      place.set(n.id, n.id)
    } else if (namespace !== undefined) {
      const id = groupID(namespace)
      const g = groups.get(id) ?? { id, name: namespace, type: 'group' as const, members: [] }
      if (g.members.length === 0) groups.set(id, g)
      g.members.push(n)
      place.set(n.id, id)
    }
  }
  const drawn = new Map<string, DrawnLine>()
  for (const l of lines) {
    const [from, to] = [place.get(l.from), place.get(l.to)]
    if (from === undefined || to === undefined || (from === to && !single.has(from))) continue
    const id = lineID(from, to)
    const line = drawn.get(id)
    if (line) line.edges.push(l.edge)
    else drawn.set(id, { id, from, to, edges: [l.edge] })
  }
  return { nodes: [...nodes, ...groups.values()], lines: [...drawn.values()], namespaces: [], left: shown.length - place.size }
}
