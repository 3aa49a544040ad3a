import { expect, test } from 'vitest'
import type { PathEdge, Why } from '../api/types'
import { pathRows, wayToCause } from './path'

const edge = (client: string, server: string, score: number, more: Partial<PathEdge> = {}): PathEdge =>
  ({ client, server, connection_type: '', score, changed: ['errors'], new_versions: [], ...more }) as PathEdge

const why = (service: string, cause: string, path: PathEdge[], cleared: PathEdge[] = []): Why =>
  ({ service, cause: { name: cause }, path, cleared }) as unknown as Why

test('the way leads over the calls to the cause', () => {
  const list = [edge('checkout', 'payment', 0.9), edge('frontend', 'checkout', 0.05), edge('', 'frontend', 0.03)]
  expect(wayToCause(why('frontend', 'payment', list)).map((s) => [s.name, s.edge?.score, s.cause])).toEqual([
    ['frontend', 0.03, false],
    ['checkout', 0.05, false],
    ['payment', 0.9, true],
  ])
  expect(wayToCause(why('payment', 'payment', [edge('', 'payment', 1)])).map((s) => s.name)).toEqual(['payment'])
  expect(wayToCause(why('frontend', 'payment', [edge('checkout', 'payment', 0.9)])).map((s) => s.name)).toEqual(['frontend', 'payment'])
  expect(wayToCause(why('', 'payment', [edge('checkout', 'payment', 0.9)])).map((s) => s.name)).toEqual(['payment'])
  expect(wayToCause(undefined)).toEqual([])
})

test('a cycle of calls ends', () => {
  const list = [edge('a', 'b', 0.1), edge('b', 'a', 0.1), edge('x', 'c', 0.9)]
  expect(wayToCause(why('a', 'c', list)).map((s) => s.name)).toEqual(['a', 'c'])
})

test('rows have both moments; what is as before comes last', () => {
  const rows = pathRows(
    why('a', 'c', [edge('a', 'c', 0.6)], [edge('c', 'd', 0)]),
    why('a', 'c', [edge('a', 'b', 0.2), edge('a', 'c', 0.9), edge('c', 'd', 0.1)]),
  )
  expect(rows.map((r) => [r.edge.server, r.edge.score, r.atFiring?.score, r.now?.score, r.cleared])).toEqual([
    ['c', 0.9, 0.6, 0.9, false],
    ['b', 0.2, undefined, 0.2, false],
    ['d', 0.1, 0, 0.1, false],
  ])
  expect(pathRows(undefined, undefined)).toEqual([])
})
