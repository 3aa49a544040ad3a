import { expect, test } from 'vitest'
import type { Incident } from '../api/types'
import { labelRows, momentsOf, stretchOf } from './timeline'

const at = (s: number) => new Date(s * 1000).toISOString()

const incident = {
  incident: { since: at(100), fired_at: at(110), resolved_at: null, acknowledged: null, cause: 'payment' },
  latest: { deployments: [{ service: 'payment', version: '1.5.0', first_seen: at(40) }] },
  deliveries: [
    { time: at(111), receiver: 'a', error: 'refused', resolved: false },
    { time: at(112), receiver: 'oncall', error: null, resolved: false },
    { time: at(400), receiver: 'oncall', error: null, resolved: true },
  ],
} as unknown as Incident

test('moments in order, to now while it is open', () => {
  expect(momentsOf(incident, 200_000).map((m) => [m.time / 1000, m.kind, m.text])).toEqual([
    [40, 'deployment', 'payment 1.5.0 deployed'],
    [100, 'since', 'first failure'],
    [110, 'fired', 'fires'],
    [112, 'notified', 'oncall notified'],
    [200, 'now', 'now'],
  ])
  const ended = { ...incident, incident: { ...incident.incident, resolved_at: at(300), acknowledged: { by: 'ann', at: at(150) } } }
  expect(momentsOf(ended, 900_000).map((m) => m.kind)).toEqual(['deployment', 'since', 'fired', 'notified', 'acknowledged', 'resolved'])
})

test('the strip has a beginning before the first moment, and a minute at least', () => {
  expect(stretchOf([{ time: 0, kind: 'fired', text: '' }])).toEqual([-6000, 60_000])
  expect(stretchOf(momentsOf(incident, 240_000))).toEqual([20_000, 240_000])
})

test('labels that would cover each other go into rows', () => {
  expect(labelRows([0, 10, 60, 62], [50, 30, 10, 10])).toEqual([0, 1, 0, 1])
})
