import { expect, test } from 'vitest'
import type { Trace } from '../api/types'
import { span, trace } from './testing'
import { treeOf } from './tree'

const shown = (t: Trace) => treeOf(t).nodes.map((n) => `${' '.repeat(n.depth)}${n.span.spanID}`)

test('spans are a tree by parent, siblings by start, in whatever order they came', () => {
  const spans = [span('a2', 'a', 300, 10), span('b', 'a1', 150, 10), span('a', undefined, 100, 900), span('a1', 'a', 120, 100)]
  expect(shown(trace(...spans))).toEqual(['a', ' a1', '  b', ' a2'])
  const t = treeOf(trace(...spans))
  expect([t.start, t.duration, t.depth]).toEqual([100, 900, 3])
  expect(t.nodes.map((n) => n.below)).toEqual([3, 1, 0, 0])
  expect(t.services).toEqual([
    { name: 'shop', spans: 3, failed: 0 },
    { name: 'bank', spans: 1, failed: 0 },
  ])
})

test('a span without its parent, and parents in a circle, lose no span', () => {
  const t = treeOf(trace(span('a', 'gone', 10, 1), span('c', 'd', 20, 1), span('d', 'c', 30, 1), span('e', 'e', 40, 1)))
  expect(t.nodes.map((n) => n.span.spanID).sort()).toEqual(['a', 'c', 'd', 'e'])
  expect(t.nodes.filter((n) => n.orphan).map((n) => n.span.spanID)).toEqual(['a'])
})

test('spans that share an id are both there', () => {
  expect(shown(trace(span('a', undefined, 0, 10), span('b', 'a', 1, 8), span('b', 'a', 2, 6)))).toEqual(['a', ' b', ' b'])
})

test('a parent in another trace is a link, not a parent', () => {
  const s = span('a', undefined, 0, 1)
  s.references = [{ refType: 'FOLLOWS_FROM', traceID: 'other', spanID: 'x' }]
  expect(treeOf(trace(s)).nodes[0]?.orphan).toBe(false)
})

test('failed is what says so', () => {
  const t = treeOf(
    trace(span('a', undefined, 0, 1, { error: true }), span('b', 'a', 0, 1, { 'otel.status_code': 'ERROR' }), span('c', 'a', 0, 1)),
  )
  expect(t.nodes.filter((n) => n.failed).map((n) => n.span.spanID)).toEqual(['a', 'b'])
})

test('the origin of a failure is the deepest span that failed', () => {
  const bad = { error: true }
  const spans = [
    span('a', undefined, 0, 9, bad),
    span('a1', 'a', 1, 5),
    span('a2', 'a1', 2, 3, bad),
    span('a3', 'a2', 2, 1),
    span('a4', 'a', 7, 1, bad),
  ]
  expect(treeOf(trace(...spans)).nodes.map((n) => [n.span.spanID, n.failed, n.origin])).toEqual([
    ['a', true, false],
    ['a1', false, false],
    ['a2', true, true],
    ['a3', false, false],
    ['a4', true, true],
  ])
})

test('the kind of a span is internal where it says nothing else', () => {
  const t = treeOf(
    trace(span('a', undefined, 0, 9, { 'span.kind': 'server' }), span('b', 'a', 1, 5), span('c', 'b', 1, 5, { 'span.kind': 7 })),
  )
  expect(t.nodes.map((n) => n.kind)).toEqual(['server', 'internal', 'internal'])
})

test('a trace of no spans, and a very deep one', () => {
  expect(treeOf(trace()).nodes).toEqual([])
  for (const at of [(i: number) => i, (i: number) => 90_000 - i]) {
    const deep = Array.from({ length: 90_000 }, (_, i) => span(`a${i}`, i === 0 ? undefined : `a${i - 1}`, at(i), 1))
    const t = trace()
    t.spans = deep
    expect(treeOf(t).depth).toBe(90_000)
  }
})
