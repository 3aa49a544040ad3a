import { expect, test } from 'vitest'
import type { Alert, Edge, ServiceHealth } from '../api/types'
import { boxOf, type Facts, importance, kept, lineOf } from './boxes'
import { together } from './difference'
import { graphOf } from './graph'
import { momentOf, momentRange, stepOf, windowOf } from './moment'
import { narrowEdges } from './narrow'
import { scopeOf } from './scope'

const edge = (client: string, server: string, part: Partial<Edge> = {}): Edge => ({
  client,
  server,
  connection_type: '',
  client_type: 'service',
  server_type: 'service',
  calls: 600,
  failed: 0,
  client_p95_ms: 20,
  server_p95_ms: 10,
  ...part,
})
const judged = (name: string, health: ServiceHealth['health'], error_rate = 0): [string, ServiceHealth] => [
  name,
  { name, health, reason: `${name} is ${health}`, now: { rate: 5, error_rate, p95_ms: 12 }, before: null, last_seen: null },
]
const facts = (part: Partial<Facts> = {}): Facts => ({
  health: new Map([judged('shop', 'ok'), judged('bank', 'failing', 0.44), judged('mail', 'no_data')]),
  alerts: new Map(),
  seconds: 300,
  comparing: false,
  ...part,
})
const counts = (calls: number, error_rate: number, p95_ms: number) => ({
  calls,
  failed: calls * error_rate,
  rate: calls / 300,
  error_rate,
  p95_ms,
  p95_low_ms: p95_ms,
  p95_high_ms: p95_ms,
})
const scopeFor = (edges: Edge[]) => scopeOf(graphOf(edges), { depth: 1, open: new Set(), first: [] })
const box = (edges: Edge[], name: string, f: Facts) => {
  const scope = scopeFor(edges)
  const n = scope.nodes.find((x) => x.name === name)
  if (n === undefined) throw new Error(`no box ${name}`)
  return boxOf(
    n,
    scope.lines.filter((l) => l.to === n.id).flatMap((l) => l.edges),
    f,
  )
}

test('a box has the health and the numbers of the last minute; what sends no spans those of the calls to it', () => {
  const edges = [edge('shop', 'bank'), edge('bank', 'store', { server_type: 'database', connection_type: 'database', failed: 6 })]
  const bank = box(edges, 'bank', facts())
  expect(bank).toMatchObject({ health: 'failing', numbers: ['5.00 /s', '44.0 %', '12.0 ms'], bad: true })
  expect(bank.title).toContain('bank is failing')
  expect(box(edges, 'store', facts())).toMatchObject({ health: undefined, type: 'database', numbers: ['2.00 /s', '1.00 %', '10.0 ms'] })
})

test('an alert of a service is worse than its numbers', () => {
  const alert = { state: 'firing', labels: { alertname: 'Slow' } } as unknown as Alert
  expect(box([edge('shop', 'bank')], 'shop', facts({ alerts: new Map([['shop', [alert]]]) })).health).toBe('firing')
})

test('compared, a box writes the change that matters most of the calls to it', () => {
  const change = { what: ['rate', 'errors'] as ('rate' | 'errors')[], before: counts(300, 0, 10), now: counts(600, 0.12, 10) }
  const edges = [
    edge('shop', 'bank', { change }),
    edge('bank', 'mail', { change: { what: [], before: counts(9, 0, 1), now: counts(9, 0, 1) } }),
  ]
  expect(box(edges, 'bank', facts({ comparing: true }))).toMatchObject({ kind: 'changed', worse: true, numbers: ['failed 0 → 12.0 %'] })
  expect(box(edges, 'mail', facts({ comparing: true }))).toMatchObject({ kind: 'same', worse: false })
})

test('several changes together', () => {
  const gone = { what: ['gone'] as 'gone'[], before: counts(300, 0, 10) }
  const added = { what: ['added'] as 'added'[], before: counts(0, 0, 0), now: counts(600, 0.5, 10) }
  expect(together([edge('a', 'b', { change: gone }), edge('c', 'b', { change: gone })]).change?.what).toEqual(['gone'])
  const both = together([edge('a', 'b', { change: gone }), edge('c', 'b', { change: added })]).change
  expect(both?.what).toEqual(['rate'])
  expect(both?.before.calls).toBe(300)
  expect(both?.now).toMatchObject({ calls: 600, error_rate: 0.5 })
  expect(together([edge('a', 'b')])).toEqual({})
})

test('a line is marked while calls fail; the rest of its numbers is there when looked at', () => {
  const line = (part: Partial<Edge>) => {
    const [l] = scopeFor([edge('shop', 'bank', part)]).lines
    if (l === undefined) throw new Error('no line')
    return lineOf(l, facts())
  }
  expect(line({})).toMatchObject({ bad: false, mark: '', text: '2.00/s, 10.0ms' })
  expect(line({ failed: 72 })).toMatchObject({ bad: true, mark: '12.0% failed', text: '12.0%, 10.0ms' })
  expect(line({ calls: 0 })).toMatchObject({ idle: true, mark: '', text: 'no calls' })
})

test('what did not change stays the same object', () => {
  const a = new Map([
    ['x', { n: 1 }],
    ['y', { n: 1 }],
  ])
  const b = kept(
    a,
    new Map([
      ['x', { n: 1 }],
      ['y', { n: 2 }],
    ]),
  )
  expect(b.get('x')).toBe(a.get('x'))
  expect(b.get('y')).toEqual({ n: 2 })
})

test('what is not ok matters more than what is busy', () => {
  const { shown } = graphOf([edge('shop', 'bank'), edge('shop', 'mail')])
  expect(importance(shown, facts()).unhealthy).toEqual(['service bank'])
  expect(importance(shown, facts()).busiest[0]).toBe('service bank')
})

test('edges are narrowed by words, by what is slow or failing, and to what is not idle', () => {
  const graph = graphOf([edge('shop', 'bank'), edge('shop', 'mail'), edge('shop', 'fax'), edge('shop', 'ink', { failed: 60 })])
  const none = { words: '', bad: false, busy: false, changed: false }
  const servers = (by: Partial<typeof none>) => narrowEdges(graph, { ...none, ...by }, facts()).map((e) => e.server)
  expect(servers({})).toEqual(['bank', 'mail', 'fax', 'ink'])
  expect(servers({ words: 'shop FA' })).toEqual(['fax'])
  expect(servers({ bad: true })).toEqual(['bank', 'ink'])
  expect(servers({ busy: true })).toEqual(['bank', 'fax', 'ink'])
  expect(servers({ changed: true })).toEqual([])
})

test('a moment stands for the minute before it, for more in long ranges', () => {
  expect(windowOf('15m')).toBe(60)
  expect(windowOf('7d')).toBe(1_680)
  expect(stepOf(900)).toBe(10)
  expect(stepOf(86_400)).toBe(960)
  expect(momentRange(1_000_000, 60)).toBe('999940..1000000')
  expect(momentRange(undefined, 60)).toBe('1m')
  expect(momentOf('1795914600')).toBe(1_795_914_600)
  expect(momentOf('now')).toBeUndefined()
})
