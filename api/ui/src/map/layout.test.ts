import { expect, test } from 'vitest'
import { place } from './layout'

test('a caller is left of what it calls, also around a cycle, and every node has its place', () => {
  const topology = {
    nodes: ['a', 'b', 'c', 'alone'],
    edges: [
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'a'],
      ['b', 'b'],
    ] as [string, string][],
  }
  const p = place(topology)
  expect(Object.keys(p).sort()).toEqual(['a', 'alone', 'b', 'c'])
  expect(p.a?.x).toBeLessThan(p.b?.x ?? 0)
  expect(place(topology)).toEqual(p)
})
