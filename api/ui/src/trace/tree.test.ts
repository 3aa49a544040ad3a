import { expect, test } from 'vitest'
import type { Span, Trace } from '../api/types'
import { barOf, treeOf, visible } from './tree'

const span = (
  spanID: string,
  parent: string | undefined,
  startTime: number,
  duration: number,
  tags: Record<string, unknown> = {},
): Span => ({
  traceID: 't',
  spanID,
  operationName: spanID,
  references: parent === undefined ? [] : [{ refType: 'CHILD_OF', traceID: 't', spanID: parent }],
  startTime,
  duration,
  tags: Object.entries(tags).map(([key, value]) => ({ key, type: 'string', value })),
  logs: [],
  processID: spanID.startsWith('b') ? 'p2' : 'p1',
  warnings: null,
})
const trace = (...spans: Span[]): Trace => ({
  traceID: 't',
  spans,
  processes: { p1: { serviceName: 'shop', tags: [] }, p2: { serviceName: 'bank', tags: [] } },
  warnings: null,
})
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

test('what is below a closed span is left out', () => {
  const { nodes } = treeOf(trace(span('a', undefined, 0, 10), span('a1', 'a', 1, 2), span('b', 'a1', 1, 1), span('a2', 'a', 5, 1)))
  const a1 = nodes.find((n) => n.span.spanID === 'a1')
  expect(visible(nodes, new Set(a1 ? [a1] : [])).map((n) => n.span.spanID)).toEqual(['a', 'a1', 'a2'])
})

test('bars stay within the trace and can be seen', () => {
  const t = treeOf(trace(span('a', undefined, 0, 1000), span('b', 'a', 250, 500), span('c', 'a', 1000, 0)))
  expect(t.nodes.map((n) => barOf(n, t.duration))).toEqual([
    { left: 0, width: 100 },
    { left: 25, width: 50 },
    { left: 99.7, width: 0.3 },
  ])
  expect(barOf(treeOf(trace(span('a', undefined, 5, 0))).nodes[0] as never, 0)).toEqual({ left: 0, width: 100 })
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
