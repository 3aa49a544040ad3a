import type { Analysis } from './analysis'
import type { SpanTree } from './tree'

/** Spans with the same operations above them, as one. Its time is its own and that of all below it, so that it is never too narrow for them. */
export interface Flame {
  service: string
  operation: string
  count: number
  failed: number
  self: number // microseconds
  time: number
  depth: number
  parent: Flame | undefined
  children: Flame[]
}

/** The trace by call path, the longest first. */
export function flameOf(tree: SpanTree, analysis: Analysis): Flame {
  const root: Flame = flame('', 'All spans', undefined)
  const byKey = new Map<Flame, Map<string, Flame>>()
  const of: Flame[] = new Array(tree.nodes.length)
  for (const n of tree.nodes) {
    const parent = n.parent === undefined ? root : (of[n.parent.index] as Flame)
    let known = byKey.get(parent)
    if (known === undefined) {
      known = new Map()
      byKey.set(parent, known)
    }
    const key = `${n.service}\u0000${n.span.operationName}`
    let f = known.get(key)
    if (f === undefined) {
      f = flame(n.service, n.span.operationName, parent)
      parent.children.push(f)
      known.set(key, f)
    }
    f.count++
    if (n.failed) f.failed++
    f.self += analysis.self[n.index] ?? 0
    of[n.index] = f
  }
  const all = everyFlame(root)
  for (let i = all.length - 1; i >= 0; i--) {
    const f = all[i] as Flame
    f.time += f.self
    if (f.parent !== undefined) f.parent.time += f.time
    f.children.sort((a, b) => b.time - a.time)
  }
  root.count = tree.nodes.length
  return root
}

const flame = (service: string, operation: string, parent: Flame | undefined): Flame => ({
  service,
  operation,
  count: 0,
  failed: 0,
  self: 0,
  time: 0,
  depth: parent === undefined ? 0 : parent.depth + 1,
  parent,
  children: [],
})

/** Parents before their children. */
export function everyFlame(root: Flame): Flame[] {
  const out = [root]
  for (let i = 0; i < out.length; i++) out.push(...(out[i] as Flame).children)
  return out
}

export interface Placed {
  flame: Flame
  x: number
  width: number
  row: number
}

/** The boxes to draw when one fills the width: those above it fill the width too, what is too narrow to see is left out. */
export function placeFlames(focus: Flame, width: number, narrowest: number): Placed[] {
  const out: Placed[] = []
  for (let f: Flame | undefined = focus.parent; f !== undefined; f = f.parent) out.push({ flame: f, x: 0, width, row: f.depth })
  out.reverse()
  const queue: Placed[] = [{ flame: focus, x: 0, width, row: focus.depth }]
  for (let p = queue.pop(); p !== undefined; p = queue.pop()) {
    out.push(p)
    if (p.flame.time <= 0) continue
    let x = p.x
    for (const child of p.flame.children) {
      const w = (p.width * child.time) / p.flame.time
      if (w >= narrowest) queue.push({ flame: child, x, width: w, row: child.depth })
      x += w
    }
  }
  return out
}
