import { expect, test } from 'vitest'
import { analyze } from './analysis'
import { flameOf, placeFlames } from './flame'
import { span, trace } from './testing'
import { timingOf } from './timing'
import { treeOf } from './tree'

test('spans with the same way from the top are one, as wide as all below it', () => {
  const call = (id: string, parent: string, start: number, duration: number) => ({
    ...span(id, parent, start, duration),
    operationName: 'Get',
  })
  const tree = treeOf(trace(span('a', undefined, 0, 100), call('b1', 'a', 0, 60), call('b2', 'a', 0, 60), call('c', 'b1', 10, 20)))
  const root = flameOf(tree, analyze(timingOf(tree)))
  const a = root.children[0]
  const get = a?.children[0]
  expect([root.time, a?.self, a?.time, get?.count, get?.self, get?.time]).toEqual([160, 40, 160, 2, 100, 120])
  const placed = placeFlames(root, 800, 0.5).map((p) => [p.flame.operation, p.row, p.x, p.width])
  expect(placed).toEqual([
    ['All spans', 0, 0, 800],
    ['a', 1, 0, 800],
    ['Get', 2, 0, 600],
    ['Get', 3, 0, 100],
  ])
  if (get === undefined) throw new Error('no flame')
  expect(placeFlames(get, 800, 0.5).map((p) => [p.flame.operation, p.width])).toEqual([
    ['All spans', 800],
    ['a', 800],
    ['Get', 800],
    ['Get', 800 / 6],
  ])
  expect(placeFlames(get, 3, 0.9)).toHaveLength(3)
})
