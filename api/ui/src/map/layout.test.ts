import { expect, test } from 'vitest'
import { boxHeight, boxWidth, type Gap, place, type Topology } from './layout'

const edges = (...list: string[]) => list.map((e) => e.split(' ') as [string, string])

test('a caller is left of what it calls, also around a cycle, and every node has its place', () => {
  const topology = { nodes: ['a', 'b', 'c', 'alone'], edges: edges('a b', 'b c', 'c a', 'b b') }
  const p = place(topology)
  expect(Object.keys(p.at).sort()).toEqual(['a', 'alone', 'b', 'c'])
  expect(p.at.a?.x).toBeLessThan(p.at.b?.x ?? 0)
  expect(place(topology)).toEqual(p)
})

/** Points of a way, close beside one another. */
function pointsOf(way: readonly Gap[]): [number, number][] {
  const out: [number, number][] = []
  way.forEach(([x1, y1, x2, y2], i) => {
    const before = way[i - 1]
    if (before) for (let t = 0; t <= 1; t += 0.05) out.push([before[2] + (x1 - before[2]) * t, y1])
    for (let t = 0; t <= 1; t += 0.02) {
      const s = 1 - t
      const mid = (x1 + x2) / 2
      out.push([s ** 3 * x1 + 3 * s * t * mid + t ** 3 * x2, (s ** 3 + 3 * s * s * t) * y1 + (3 * s * t * t + t ** 3) * y2])
    }
  })
  return out
}

/** A system of layers, with calls to any later layer and a few back. */
function system(count: number): Topology {
  let seed = 7
  const random = (n: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed % n
  }
  const nodes = Array.from({ length: count }, (_, i) => `n${i}`)
  const set = new Set<string>()
  for (let i = 1; i < count; i++) {
    set.add(`n${Math.floor(i / 4)} n${i}`)
    if (i % 2 === 0) set.add(`n${random(i)} n${i}`)
    if (i % 17 === 0) set.add(`n${i} n${random(i)}`)
  }
  return { nodes, edges: edges(...set).filter(([a, b]) => a !== b) }
}

test('no line runs through a box', () => {
  const topology = system(60)
  const { at, ways } = place(topology)
  const hits: string[] = []
  ways.forEach((way, i) => {
    const [from, to] = topology.edges[i] ?? ['', '']
    for (const [x, y] of pointsOf(way)) {
      for (const [name, p] of Object.entries(at)) {
        const inside = x > p.x + 1 && x < p.x + boxWidth - 1 && y > p.y + 1 && y < p.y + boxHeight - 1
        if (inside) hits.push(`${from} > ${to} at ${name}`)
      }
    }
  })
  expect(hits).toEqual([])
})

test('lines of one side of a box leave it at places of their own', () => {
  const { ways } = place({ nodes: ['a', 'b', 'c', 'd'], edges: edges('a b', 'a c', 'a d') })
  const ys = ways.map((w) => w[0]?.[1])
  expect(new Set(ys).size).toBe(3)
})
