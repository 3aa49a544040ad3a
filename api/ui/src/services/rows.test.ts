import { expect, test } from 'vitest'
import type { Alert, Deployment, ServiceHealth, SLO } from '../api/types'
import { chosenColumns, toggled } from './columns'
import {
  grouped,
  isGroup,
  leastBudgets,
  narrowRows,
  newestDeployments,
  Order,
  rowsOf,
  type ServiceRow,
  shareGrown,
  timesSlower,
  totalsOf,
} from './rows'

const service = (name: string, health: ServiceHealth['health'] = 'ok', failed = 0, rate = 10, namespace?: string): ServiceHealth => ({
  name,
  ...(namespace === undefined ? {} : { dimensions: { 'service.namespace': namespace } }),
  health,
  reason: `${health}!`,
  now: { rate, error_rate: failed, p95_ms: 40 },
  before: { rate, error_rate: 0.002, p95_ms: 20 },
  last_seen: null,
})
const rows = (list: ServiceHealth[], alerts = new Map<string, Alert[]>()) => rowsOf(list, alerts, undefined, new Map())
const names = (list: readonly (ServiceRow | { group: string })[]) => list.map((r) => ('group' in r ? `[${r.group}]` : r.service.name))

test('rows keep their identity until something that they show changes', () => {
  const a = service('a')
  const first = rows([a, service('b')])
  const kept = new Map(first.map((r) => [r.key, r]))
  const second = rowsOf([a, service('b', 'failing')], new Map(), undefined, kept)
  expect(second[0]).toBe(first[0])
  expect(second[1]).not.toBe(first[1])
  const firing = { state: 'firing', labels: { alertname: 'X' } } as unknown as Alert
  const third = rowsOf([a], new Map([['a', [firing]]]), undefined, kept)
  expect([third[0]?.health, third[0]?.reason]).toEqual(['firing', 'firing: X; ok!'])
})

test('words are looked for in names and dimensions; only unhealthy leaves out what cannot be judged', () => {
  const list = rows([
    service('cart', 'ok', 0, 1, 'shop'),
    service('pay', 'failing', 1, 1, 'shop'),
    service('auth', 'few_calls', 1, 1, 'edge'),
  ])
  expect(names(narrowRows(list, { words: 'SHOP c', onlyUnhealthy: false }))).toEqual(['cart'])
  expect(names(narrowRows(list, { words: '', onlyUnhealthy: true }))).toEqual(['pay'])
  expect(narrowRows(list, { words: ' ', onlyUnhealthy: false })).toBe(list)
})

test('the worst come first, among them those that fail most calls; numbers do not reorder rows at each update', () => {
  const order = new Order()
  const at = (x: number, y: number) =>
    rows([service('a'), service('x', 'failing', 0.5, x), service('y', 'failing', 0.5, y), service('s', 'silent')])
  expect(names(order.sort(at(1, 9), 'health', 0))).toEqual(['y', 'x', 's', 'a'])
  expect(names(order.sort(at(99, 9), 'health', 1_000))).toEqual(['y', 'x', 's', 'a'])
  expect(names(order.sort(at(99, 9), 'health', 6_000))).toEqual(['x', 'y', 's', 'a'])
  const worse = rows([service('a', 'failing', 1, 100), service('x', 'failing', 0.5), service('y', 'failing', 0.5), service('s', 'silent')])
  expect(names(order.sort(worse, 'health', 6_100))).toEqual(['a', 'x', 'y', 's'])
  expect(names(order.sort(worse, '-rate', 6_200))).toEqual(['a', 's', 'x', 'y'])
  expect(names(order.sort(worse, '-service', 6_300))).toEqual(['y', 'x', 's', 'a'])
})

test('a held order stays although health changes, unless rows come or go', () => {
  const order = new Order()
  const sick = rows([service('a'), service('x', 'failing', 0.5)])
  expect(names(order.sort(sick, 'health', 0))).toEqual(['x', 'a'])
  const worse = rows([service('a', 'failing', 1), service('x')])
  expect(names(order.sort(worse, 'health', 60_000, true))).toEqual(['x', 'a'])
  expect(names(order.sort(worse, 'health', 61_000))).toEqual(['a', 'x'])
  expect(names(order.sort([...sick, ...rows([service('b', 'failing', 0.9)])], 'health', 62_000, true))).toEqual(['b', 'x', 'a'])
  expect(names(order.sort(rows([service('a'), service('x', 'failing', 0.5)]), 'service', 63_000, true))).toEqual(['a', 'x'])
})

test('groups with the worst service come first, services without a value last', () => {
  const list = new Order().sort(
    rows([
      service('a', 'ok', 0, 1, 'edge'),
      service('b', 'ok', 0, 1),
      service('c', 'slower', 0, 1, 'shop'),
      service('d', 'ok', 0, 1, 'shop'),
    ]),
    'health',
    0,
  )
  const groups = grouped(list, 'service.namespace')
  expect(names(groups)).toEqual(['[shop]', 'c', 'd', '[edge]', 'a', '[]', 'b'])
  expect(groups.filter(isGroup)[0]).toEqual({ group: 'shop', services: 2, unhealthy: 1 })
})

test('totals are of the last minute', () => {
  const t = totalsOf(rows([service('a', 'failing', 0.5, 10), { ...service('b', 'silent'), now: null }, service('c', 'ok', 0, 30)]))
  expect(t).toEqual({ rate: 40, failed: 5, counts: { failing: 1, silent: 1, ok: 1 }, unhealthy: 2 })
})

test('differences to the baseline are shown where they matter', () => {
  expect(shareGrown(service('a', 'failing', 0.442))).toBeCloseTo(0.44)
  expect(shareGrown(service('a', 'ok', 0.442))).toBeUndefined()
  expect(timesSlower(service('a', 'slower'))).toBe(2)
  expect(timesSlower(service('a', 'ok'))).toBeUndefined()
  expect(timesSlower({ ...service('a', 'slower'), before: null })).toBeUndefined()
})

test('columns are in the URL unless they are those of the beginning', () => {
  const ids = (cols: string) =>
    chosenColumns(cols)
      .map((c) => c.id)
      .join()
  expect(ids('')).toBe('health,service,rate,failed,p95,deployed,budget')
  expect(toggled('', 'p95')).toBe('rate,failed,deployed,budget')
  expect(toggled('rate,failed,deployed,budget', 'p95')).toBe('')
  expect(ids(toggled('', 'seen'))).toBe('health,service,rate,failed,p95,deployed,budget,seen')
  expect(ids(['rate', 'failed', 'p95', 'deployed', 'budget'].reduce(toggled, ''))).toBe('health,service')
})

test('a row has the newest deployment of its service and the least budget of its objectives', () => {
  const version = (service: string, version: string, calls: number, namespace?: string) =>
    ({ service, version, before: { calls }, ...(namespace && { dimensions: { 'service.namespace': namespace } }) }) as unknown as Deployment
  const deployed = newestDeployments([version('a', '3', 5), version('a', '2', 5), version('b', '1', 0), version('a', '9', 1, 'other')])
  const slo = (service: string | undefined, left: number | null) => ({ service, status: { budget_remaining: left } }) as unknown as SLO
  const budgets = leastBudgets([slo('a', 0.5), slo('a', -0.2), slo('b', null), slo(undefined, 0.1)])
  const list = rowsOf([service('a'), service('b')], new Map(), undefined, new Map(), { deployed, budgets })
  expect(list.map((r) => [r.deployed?.version, r.budget])).toEqual([
    ['3', -0.2],
    [undefined, undefined],
  ])
  const kept = new Map(list.map((r) => [r.key, r]))
  const later = rowsOf(
    list.map((r) => r.service),
    new Map(),
    undefined,
    kept,
    { deployed, budgets: new Map([['a', 0.4]]) },
  )
  expect(later[0]?.budget).toBe(0.4)
  expect(later[1]).toBe(list[1])
})
