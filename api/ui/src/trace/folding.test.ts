import { expect, test } from 'vitest'
import { foldedAll, foldedAtFirst, rowOf, stepTo, unfoldedTo, visible } from './folding'
import { span, trace } from './testing'
import { type SpanNode, treeOf } from './tree'

const ids = (nodes: readonly SpanNode[]) => nodes.map((n) => n.span.spanID)
const find = (nodes: readonly SpanNode[], id: string) => nodes.find((n) => n.span.spanID === id) as SpanNode

test('what is below a folded span is left out', () => {
  const { nodes } = treeOf(trace(span('a', undefined, 0, 10), span('a1', 'a', 1, 2), span('b', 'a1', 1, 1), span('a2', 'a', 5, 1)))
  const folded = new Set([find(nodes, 'a1')])
  const rows = visible(nodes, folded)
  expect(ids(rows)).toEqual(['a', 'a1', 'a2'])
  expect(rowOf(rows, find(nodes, 'a2'))).toBe(2)
  expect(rowOf(rows, find(nodes, 'b'))).toBe(1) // its place is that of what hides it
  expect(ids(visible(nodes, unfoldedTo(folded, find(nodes, 'b'))))).toEqual(['a', 'a1', 'b', 'a2'])
  expect(unfoldedTo(folded, find(nodes, 'a2'))).toBe(folded)
  expect(ids([...foldedAll(nodes)])).toEqual(['a1'])
})

test('a large trace is open to the third level and to what failed', () => {
  const spans = [span('root', undefined, 0, 1000)]
  for (let i = 0; i < 400; i++) {
    const tags = i === 7 ? { error: true } : {}
    spans.push(span(`one${i}`, 'root', i, 10), span(`two${i}`, `one${i}`, i, 9), span(`three${i}`, `two${i}`, i, 8, tags))
  }
  const { nodes } = treeOf(trace(...spans))
  const rows = ids(visible(nodes, foldedAtFirst(nodes)))
  expect(rows).toHaveLength(1 + 400 + 400 + 1)
  expect(rows).toContain('three7')
  expect(foldedAtFirst(nodes.slice(0, 1000)).size).toBe(0)
})

test('from match to match, round the end', () => {
  expect([stepTo([3, 8], 3, 1), stepTo([3, 8], 8, 1), stepTo([3, 8], 8, -1), stepTo([3, 8], 1, -1)]).toEqual([8, 3, 3, 8])
  expect(stepTo([], 1, 1)).toBeUndefined()
})
