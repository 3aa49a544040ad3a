import { expect, test } from 'vitest'
import type { Alert, ServiceHealth } from '../api/types'
import { alertsByService, byUrgency, healthOf, reasonOf, serviceOf, summaryOf, unhealthy } from './health'

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

const judged = (health: ServiceHealth['health'], reason = 'as before') => ({ health, reason })

test('the worst of alerts and numbers decides', () => {
  expect(healthOf(judged('ok'), [alert('pending', {}), alert('firing', {})])).toBe('firing')
  expect(healthOf(judged('failing'), [alert('firing', {})])).toBe('firing')
  expect(healthOf(judged('failing'), [alert('pending', {})])).toBe('failing')
  expect(healthOf(judged('ok'), [alert('pending', {})])).toBe('pending')
  expect(healthOf(judged('few_calls'), undefined)).toBe('few')
  expect(healthOf(judged('ok'), [])).toBe('ok')
  expect(healthOf(undefined, undefined)).toBe('nodata')
  expect((['firing', 'failing', 'silent', 'slower', 'pending', 'few', 'nodata', 'ok'] as const).map(unhealthy)).toEqual([
    true,
    true,
    true,
    true,
    true,
    false,
    false,
    false,
  ])
})

test('the reason names alerts, then what the numbers say', () => {
  const alerts = [
    alert('firing', { alertname: 'Errors' }),
    alert('firing', { alertname: 'Errors' }),
    alert('pending', { alertname: 'Slow' }),
  ]
  expect(reasonOf(judged('failing', 'fails 44 % of its calls, 0.2 % before'), alerts)).toBe(
    'firing: Errors; pending: Slow; fails 44 % of its calls, 0.2 % before',
  )
  expect(reasonOf(judged('ok'), undefined)).toBe('as before')
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
