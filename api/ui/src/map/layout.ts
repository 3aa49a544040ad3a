import { Graph, layout } from '@dagrejs/dagre'

export interface Topology {
  nodes: string[]
  edges: [string, string][]
}
export type Positions = Record<string, { x: number; y: number }>

/** Where a line crosses the free space between two columns of boxes: x and y of both ends. Between two such it runs level. */
export type Gap = [number, number, number, number]

export interface Placed {
  at: Positions
  /** For each edge of the topology its way, from box to box. */
  ways: Gap[][]
}

export const boxWidth = 176
export const boxHeight = 46
const columnGap = 104
const portGap = 8

/** Columns from left to right; equal topologies give equal drawings. */
export function place({ nodes, edges }: Topology): Placed {
  const g = new Graph()
  g.setGraph({ rankdir: 'LR', nodesep: 18, edgesep: 12, ranksep: columnGap, marginx: 16, marginy: 24 })
  g.setDefaultEdgeLabel(() => ({}))
  for (const name of nodes) g.setNode(name, { width: boxWidth, height: boxHeight })
  for (const [from, to] of edges) if (from !== to) g.setEdge(from, to)
  layout(g)
  const at: Positions = {}
  for (const name of nodes) {
    const n = g.node(name) as { x: number; y: number }
    at[name] = { x: n.x - boxWidth / 2, y: n.y - boxHeight / 2 }
  }
  const columns = [...new Set(Object.values(at).map((p) => p.x + boxWidth / 2))]
  const between = ([from, to]: [string, string]): Point[] => {
    if (from === to) return []
    const { points } = g.edge(from, to) as { points: Point[] }
    return points.slice(1, -1).filter((p) => columns.some((x) => Math.abs(x - p.x) < 1))
  }
  return { at, ways: waysOf(edges, at, edges.map(between)) }
}

interface Point {
  x: number
  y: number
}

/** Lines leave and reach a box at places of their own, in the order of where they come from: they do not cross beside the box. */
function waysOf(edges: readonly [string, string][], at: Positions, between: readonly Point[][]): Gap[][] {
  const center = (name: string): Point => ({ x: (at[name]?.x ?? 0) + boxWidth / 2, y: (at[name]?.y ?? 0) + boxHeight / 2 })
  const ports = new Map<string, { edge: number; end: 0 | 1; y: number }[]>()
  edges.forEach(([from, to], i) => {
    if (from === to) return
    const right = center(to).x > center(from).x
    const add = (name: string, end: 0 | 1, next: Point | undefined) => {
      const side = `${right === (end === 0) ? 'r' : 'l'} ${name}`
      const list = ports.get(side) ?? []
      ports.set(side, list)
      list.push({ edge: i, end, y: (next ?? center(end === 0 ? to : from)).y })
    }
    add(from, 0, between[i]?.[0])
    add(to, 1, between[i]?.at(-1))
  })
  const offsets = edges.map((): [number, number] => [0, 0])
  for (const list of ports.values()) {
    list.sort((a, b) => a.y - b.y)
    const step = Math.min(portGap, (boxHeight - 12) / Math.max(1, list.length - 1))
    list.forEach((p, i) => {
      const o = offsets[p.edge]
      if (o) o[p.end] = (i - (list.length - 1) / 2) * step
    })
  }
  return edges.map(([from, to], i) => {
    if (from === to) return []
    const [a, b] = [center(from), center(to)]
    const half = b.x > a.x ? boxWidth / 2 : -boxWidth / 2
    const [out, into] = offsets[i] ?? [0, 0]
    const gaps: Gap[] = []
    let [x, y] = [a.x + half, a.y + out]
    for (const p of between[i] ?? []) {
      gaps.push([x, y, p.x - half, p.y])
      x = p.x + half
      y = p.y
    }
    gaps.push([x, y, b.x - half, b.y + into])
    return gaps
  })
}

/** The way as a path of SVG. A call of a box to itself is a loop above it. */
export function pathOf(way: readonly Gap[], box: Point): string {
  if (way.length === 0) {
    const x = box.x + boxWidth - 40
    return `M${x} ${box.y}c0 -16 24 -16 24 0`
  }
  const n = (v: number) => Math.round(v * 10) / 10
  return way
    .map(([x1, y1, x2, y2], i) => {
      const mid = n((x1 + x2) / 2)
      return `${i === 0 ? 'M' : 'L'}${n(x1)} ${n(y1)}C${mid} ${n(y1)} ${mid} ${n(y2)} ${n(x2)} ${n(y2)}`
    })
    .join('')
}
