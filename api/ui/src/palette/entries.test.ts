import { expect, test } from 'vitest'
import { entriesOf, search } from './entries'
import { most } from './match'

const now = Date.now() // what becomes of a range reads the clock too
const entries = entriesOf({
  services: [{ name: 'cafe' }, { name: 'a/b' }, { name: 'cafe' }],
  incidents: [{ id: 'i 1', title: 'cafe fails', names: ['HighErrorRate'], services: ['cafe'] }],
  dashboards: [{ id: 'd1', title: 'Shop at work' }],
  rules: [
    { id: 'r1', name: 'HighErrorRate', group: 'g', type: 'alerting' },
    { id: 'r2', name: 'job:rate', group: 'g', type: 'recording' },
  ],
  views: [{ id: 'v', name: 'Broken payments', page: 'logs', query: 'service=pay', etag: '"1"', saved_by: 'ann', saved_at: '' }],
})
const found = (text: string) => search(entries, text, now, 'utc').groups.flatMap((g) => g.entries)
const id = '0af7651916cd43dd8448eb211c80319c'

test('a trace ID, alone, in a traceparent header or in a link, is the only result', () => {
  for (const text of [id, ` ${id.toUpperCase()} `, `00-${id}-b7ad6b7169203331-01`, `https://here/trace/${id}?x=1`])
    expect(found(text).map((e) => e.to)).toEqual([{ path: `/traces/${id}` }])
})

test('a short hexadecimal word is a name', () => {
  expect(found('cafe').map((e) => e.id)).toEqual(['incident i 1', 'service cafe'])
})

test('each leads to its page', () => {
  expect(found('a/b')[0]?.to).toEqual({ path: '/services/a%2Fb' })
  expect(found('cafe')[0]?.to).toEqual({ path: '/incidents/i%201' })
  expect(found('errorrate').map((e) => e.to)).toEqual([{ path: '/alerts/rules/r1' }, { path: '/incidents/i%201' }])
  expect(found('job:rate')).toEqual([])
  expect(found('broken')[0]).toMatchObject({ kind: 'view', detail: 'logs', to: { view: { page: 'logs', query: 'service=pay' } } })
  expect(found('metrics')[0]?.to).toEqual({ path: '/query' })
})

test('a typed range comes first, once, in the spelling of the list', () => {
  expect(found('last 24 h')[0]).toMatchObject({ kind: 'range', label: 'Last 24 h', to: { range: '24h' } })
  expect(found('last 24 h').filter((e) => e.label === 'Last 24 h')).toHaveLength(1)
  expect(found('90m')[0]?.to).toEqual({ range: '90m' })
  expect(found('last').map((e) => e.kind)).toContain('range')
  expect(found('2026-01-28 01:10 to 02:00')[0]?.to).toEqual({ range: '1769562600..1769565600' })
})

test('a typed range does not make the list longer', () => {
  const many = entriesOf({
    services: Array.from({ length: 30 }, (_, i) => ({ name: `90m-${i}` })),
    incidents: [],
    dashboards: [],
    rules: [],
    views: [],
  })
  const all = search(many, '90m', now, 'utc')
  expect(all.groups.flatMap((g) => g.entries)).toHaveLength(most)
  expect(all.total).toBe(31)
})
