import { expect, test } from 'vitest'
import type { Alert } from '../api/types'
import { alertsByService, byUrgency, healthOf, serviceOf, summaryOf } from './health'

const alert = (state: 'pending' | 'firing', labels: Record<string, string>, active_at = '2026-11-23T10:00:00Z'): Alert => ({
  fingerprint: JSON.stringify([labels, active_at]),
  rule_id: 'r',
  labels,
  annotations: {},
  state,
  active_at,
  fired_at: null,
  value: 1,
  generator_url: '',
  incident: null,
  deliveries: [],
  evidence: { expr: '', for: '', frontier: 'head', traces: [] },
})

const seen = { last_seen: '2026-11-23T10:00:00Z', calls: 5 }

test('the strongest alert decides, then how long ago it was seen', () => {
  expect(healthOf(seen, [alert('pending', {}), alert('firing', {})], null)).toBe('firing')
  expect(healthOf(seen, [alert('pending', {})], null)).toBe('pending')
  expect(healthOf(seen, undefined, '2026-11-23T10:01:00Z')).toBe('ok')
  expect(healthOf(seen, [], '2026-11-23T10:03:00Z')).toBe('nodata')
  expect(healthOf({ last_seen: null, calls: 0 }, undefined, null)).toBe('nodata')
})

test('alerts belong to the service that their labels name', () => {
  const a = alert('firing', { alertname: 'X', service_name: 'cart' })
  const b = alert('firing', { alertname: 'Y', client: 'shop', server: 'cart' })
  const c = alert('firing', { alertname: 'Z' })
  expect([a, b, c].map(serviceOf)).toEqual(['cart', 'cart', undefined])
  expect(alertsByService([a, b, c])).toEqual(new Map([['cart', [a, b]]]))
  expect(summaryOf(c)).toBe('Z')
})

test('firing comes before pending, old before new', () => {
  const p = alert('pending', {}, '2026-11-23T09:00:00Z')
  const f1 = alert('firing', {}, '2026-11-23T10:00:00Z')
  const f2 = alert('firing', {}, '2026-11-23T10:01:00Z')
  expect([p, f2, f1].sort(byUrgency)).toEqual([f1, f2, p])
})
