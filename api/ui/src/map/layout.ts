import { Graph, layout } from '@dagrejs/dagre'

export interface Topology {
  nodes: string[]
  edges: [string, string][]
}
export type Positions = Record<string, { x: number; y: number }>

export const nodeWidth = 136
export const nodeHeight = 28

/** Layers from left to right; equal topologies give equal drawings. */
export function place({ nodes, edges }: Topology): Positions {
  const g = new Graph()
  g.setGraph({ rankdir: 'LR', nodesep: 8, ranksep: 120, marginx: 8, marginy: 8 })
  g.setDefaultEdgeLabel(() => ({}))
  for (const name of nodes) g.setNode(name, { width: nodeWidth, height: nodeHeight })
  for (const [from, to] of edges) if (from !== to) g.setEdge(from, to)
  layout(g)
  return Object.fromEntries(
    nodes.map((name) => {
      const n = g.node(name) as { x: number; y: number }
      return [name, { x: n.x - nodeWidth / 2, y: n.y - nodeHeight / 2 }]
    }),
  )
}
