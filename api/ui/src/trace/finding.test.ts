import { expect, test } from 'vitest'
import { findSpans } from './finding'
import { span, trace } from './testing'
import { treeOf } from './tree'

test('spans are found by service, operation, attributes, events and process', () => {
  const t = trace(
    span('a', undefined, 0, 9, { 'http.route': '/Cart', n: 12 }),
    span('b', 'a', 1, 5, { 'db.system': 'redis' }),
    span('c', 'a', 7, 1),
  )
  t.spans[2]?.logs.push({ timestamp: 7, fields: [{ key: 'exception.type', type: 'string', value: 'Timeout' }] })
  t.processes.p2 = { serviceName: 'bank', tags: [{ key: 'host.name', type: 'string', value: 'node-7' }] }
  const tree = treeOf(t)
  const found = (text: string) => findSpans(tree, t.processes, text).map((i) => tree.nodes[i]?.span.spanID)
  expect(found('BANK')).toEqual(['b'])
  expect(found('http.route=/cart')).toEqual(['a'])
  expect(found('n=12')).toEqual(['a'])
  expect(found('timeout')).toEqual(['c'])
  expect(found('node-7')).toEqual(['b'])
  expect(found('shop')).toEqual(['a', 'c'])
  expect(found('  ')).toEqual([])
  expect(found('shopa')).toEqual([]) // nothing is found across two fields
})
