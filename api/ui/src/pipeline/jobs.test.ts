import { expect, test } from 'vitest'
import type { Backup, Verification } from '../api/types'
import { protection } from './backups'
import { outcome, requestOf } from './verifications'

test('the part of the time that can be verified', () => {
  const list = { from: '2026-11-23T10:00:00.000Z', to: '2026-11-23T12:00:00.000Z' }
  expect(requestOf('', list)).toEqual({})
  expect(requestOf('all', list)).toEqual(list)
  expect(requestOf('3600', list)).toEqual({ from: '2026-11-23T11:00:00.000Z', to: list.to })
  expect(requestOf('3600', { from: '2026-11-23T11:30:00.000Z', to: list.to })).toEqual({ from: '2026-11-23T11:30:00.000Z', to: list.to })
  expect(requestOf('all', { from: null, to: null })).toEqual({})
})

test('cells that were not compared are not equal', () => {
  const v = { state: 'finished', minutes: 10, compared: 10, skipped: 0, cells: 100, differing: 0 } as unknown as Verification
  expect(outcome(v)).toEqual({ health: 'ok', word: 'all equal' })
  expect(outcome({ ...v, cells: 0 })).toEqual({ health: 'nodata', word: 'nothing compared' })
  expect(outcome({ ...v, differing: 3 }).health).toBe('firing')
  expect(outcome({ ...v, state: 'running', differing: 3 }).word).toBe('3 differ')
  expect(outcome({ ...v, state: 'running', compared: 3, skipped: 2 }).word).toBe('running, 5 of 10 min')
})

test('a schedule whose newest complete backup is older than two intervals has failed', () => {
  const now = Date.parse('2026-11-23T12:00:00Z')
  const of = (state: string, started: string) => ({ state, started }) as Backup
  const list = { location: '/b', interval_s: 3600, backups: [of('failed', '2026-11-23T11:55:00Z'), of('complete', '2026-11-23T10:30:00Z')] }
  expect(protection(list, now).health).toBe('ok')
  expect(protection(list, now + 3600_000).health).toBe('firing')
  expect(protection({ ...list, interval_s: null }, now + 3600_000).health).toBe('ok')
  expect(protection({ ...list, backups: [] }, now)).toEqual({ health: 'pending', word: 'No complete backup is known.' })
})
