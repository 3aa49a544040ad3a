import { expect, test } from 'vitest'
import type { Edge } from '../api/types'
import { graphOf, nodeOfParam, paramOfNode, within } from './graph'
import { groupID, most, scopeOf } from './scope'

const call = (client: string, server: string, namespaces: [string, string] = ['', ''], type: Edge['server_type'] = 'service'): Edge => ({
  client,
  server,
  connection_type: '',
  client_type: 'service',
  server_type: type,
  ...(namespaces[0] ? { client_dimensions: { 'service.namespace': namespaces[0] } } : {}),
  ...(namespaces[1] && type === 'service' ? { server_dimensions: { 'service.namespace': namespaces[1] } } : {}),
  calls: 1,
  failed: 0,
  client_p95_ms: 1,
  server_p95_ms: 1,
})
const wish = { depth: 1, open: new Set<string>(), first: [] }
const names = (ids: Iterable<string>) => [...ids].map((id) => id.replace(/^service /, '')).sort()

test('a neighbourhood grows with its depth, in both directions, and no further than asked for', () => {
  const { lines } = graphOf([call('a', 'b'), call('b', 'c'), call('c', 'd')])
  expect(names(within(lines, ['service b'], 1))).toEqual(['a', 'b', 'c'])
  expect(names(within(lines, ['service b'], 2))).toEqual(['a', 'b', 'c', 'd'])
  expect(within(lines, ['service b'], 2, 2).size).toBe(2)
})

test('two kinds of calls between two services are one line', () => {
  const graph = graphOf([call('a', 'b'), { ...call('a', 'b'), connection_type: 'messaging_system' }, call('b', 'b')])
  const scope = scopeOf(graph, wish)
  expect(scope.lines.map((l) => [l.from, l.to, l.edges.length])).toEqual([
    ['service a', 'service b', 2],
    ['service b', 'service b', 1],
  ])
})

/** So many services in namespaces of a hundred; each calls the next, and a database of its own. */
function large(count: number, spaces = 100): Edge[] {
  const space = (i: number) => (spaces === 0 ? '' : `team-${Math.floor(i / spaces)}`)
  return Array.from({ length: count - 1 }, (_, i) => [
    call(`s${i}`, `s${i + 1}`, [space(i), space(i + 1)]),
    call(`s${i}`, `db-${i}`, [space(i), ''], 'database'),
  ]).flat()
}

test('a system too large to draw is in boxes of its namespaces, but for what matters', () => {
  const graph = graphOf(large(2_000))
  const s7 = graph.shown.find((n) => n.name === 's7')?.id ?? ''
  const scope = scopeOf(graph, { ...wish, first: [s7] })
  expect(scope.nodes.filter((n) => n.type === 'group')).toHaveLength(20)
  expect(scope.nodes.filter((n) => n.type === 'service').map((n) => n.name)).toEqual(['s7'])
  expect(scope.left).toBe(0)
  const first = scope.nodes.find((n) => n.id === groupID('team-0'))
  expect(first?.members.filter((m) => m.type === 'service')).toHaveLength(99)
  expect(scope.lines.some((l) => l.from === groupID('team-0') && l.to === groupID('team-1'))).toBe(true)
  expect(scope.lines.some((l) => l.from === l.to)).toBe(false)
})

test('an opened namespace is drawn as its services', () => {
  const graph = graphOf(large(2_000))
  const scope = scopeOf(graph, { ...wish, open: new Set(['team-3']) })
  expect(scope.nodes.filter((n) => n.type === 'service')).toHaveLength(100)
  expect(scope.nodes.some((n) => n.id === groupID('team-3'))).toBe(false)
  const all = scopeOf(graph, { ...wish, open: new Set(['team-3', 'team-4', 'team-5']) })
  expect(all.nodes.filter((n) => n.type !== 'group').length).toBe(most)
})

test('without namespaces a large system is drawn around what matters', () => {
  const graph = graphOf(large(2_000, 0))
  const scope = scopeOf(graph, { ...wish, first: ['service s500'] })
  expect(scope.nodes.length).toBeLessThanOrEqual(most)
  expect(scope.nodes.map((n) => n.name)).toContain('s500')
  expect(scope.nodes.map((n) => n.name)).toContain('s501')
  expect(scope.left).toBe(graph.shown.length - scope.nodes.length)
})

test('the URL names a service by its name, and others by their id', () => {
  const { shown } = graphOf([call('a', 'b', ['x', 'x']), call('a', 'c', ['y', 'y'])])
  const b = shown.find((n) => n.name === 'b')
  const a = shown.find((n) => n.name === 'a')
  expect(b && paramOfNode(b)).toBe('b')
  expect(nodeOfParam(shown, 'b')).toBe(b)
  expect(a && nodeOfParam(shown, paramOfNode(a))).toBe(a)
  expect(nodeOfParam(shown, '')).toBeUndefined()
  expect(nodeOfParam(shown, 'zzz')).toBeUndefined()
})
