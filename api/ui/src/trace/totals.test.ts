import { expect, test } from 'vitest'
import { analyze } from './analysis'
import { compareTraces, deltaOf } from './comparing'
import { span, trace } from './testing'
import { timingOf } from './timing'
import { totalsOf } from './totals'
import { treeOf } from './tree'

const named = (id: string, name: string, parent: string | undefined, start: number, duration: number, tags = {}) => ({
  ...span(id, parent, start, duration, tags),
  operationName: name,
})
const one = () =>
  treeOf(
    trace(
      named('a', 'Buy', undefined, 0, 100),
      named('b1', 'Charge', 'a', 10, 40, { error: true }),
      named('b2', 'Charge', 'b1', 20, 20),
      named('b3', 'Charge', 'a', 60, 30),
    ),
  )

test('totals by operation count a span within its own kind once', () => {
  const tree = one()
  const totals = totalsOf(tree, analyze(timingOf(tree)), true)
  expect(totals.map((t) => [t.operation, t.count, t.failed, t.total, t.self, t.critical, t.longest.span.spanID])).toEqual([
    ['Buy', 1, 0, 100, 30, 30, 'a'],
    ['Charge', 3, 1, 70, 70, 70, 'b1'],
  ])
  expect(totalsOf(tree, undefined, false).map((t) => [t.service, t.count, t.total])).toEqual([
    ['shop', 1, 100],
    ['bank', 3, 70],
  ])
})

test('two traces side by side: times by operation, and calls that only one has', () => {
  const other = treeOf(trace(named('a', 'Buy', undefined, 0, 60), named('b', 'Charge', 'a', 10, 20), named('c', 'Tax', 'a', 40, 5)))
  const { operations, changes } = compareTraces(one(), other)
  expect(operations.map((c) => [c.operation, c.here.count, c.there.count, deltaOf(c)])).toEqual([
    ['Charge', 3, 1, 50],
    ['Buy', 1, 1, -5],
    ['Tax', 0, 1, -5],
  ])
  expect(operations[0]?.here.failed).toBe(1)
  expect(changes.map((c) => [c.where, c.parent, c.child, c.count])).toEqual([
    ['here', 'bank Charge', 'bank Charge', 1],
    ['there', 'shop Buy', 'shop Tax', 1],
  ])
  expect(compareTraces(other, other).changes).toEqual([])
})
