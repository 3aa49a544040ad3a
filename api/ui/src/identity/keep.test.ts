import { expect, test } from 'vitest'
import type { Me } from '../api/types'
import { endsIn, renewAt } from './keep'

const now = Date.parse('2026-01-01T00:00:00Z')
const inMs = (ms: number) => new Date(now + ms).toISOString()
const me = (more: Partial<Me>): Me => ({
  authentication: true,
  name: 'ann',
  role: 'viewer',
  login: true,
  local: true,
  oidc: false,
  expires_at: inMs(86_400_000),
  ...more,
})

test('a login with a password is renewed halfway', () => {
  expect(renewAt(me({}), now)).toBe(now + 43_200_000)
  expect(renewAt(me({ expires_at: inMs(90 * 86_400_000) }), now)).toBe(now + 45 * 86_400_000)
  expect(renewAt(me({ expires_at: inMs(-1) }), now)).toBe(now)
  expect(renewAt(me({ local: false }), now)).toBeUndefined()
  expect(renewAt(me({ login: false, expires_at: null }), now)).toBeUndefined()
  expect(renewAt(undefined, now)).toBeUndefined()
})

test('a login that is not renewed says that it ends', () => {
  expect(endsIn(me({ local: false }), now)).toBeUndefined()
  expect(endsIn(me({ local: false, expires_at: inMs(600_000) }), now)).toBe(600_000)
  expect(endsIn(me({ local: false, expires_at: inMs(0) }), now)).toBeUndefined()
  expect(endsIn(me({ expires_at: inMs(600_000) }), now)).toBeUndefined()
  expect(endsIn(me({ expires_at: inMs(50_000) }), now)).toBe(50_000)
  expect(endsIn(me({ login: false, expires_at: inMs(1000) }), now)).toBeUndefined()
})
