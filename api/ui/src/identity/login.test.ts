import { expect, test } from 'vitest'
import { loginAt } from './login-at'

test('a login elsewhere comes back to the page that was asked for', () => {
  expect(loginAt('/alerts', '?q=a&login=expired')).toBe('/api/v1/auth/oidc/login?to=%2Falerts%3Fq%3Da')
  expect(loginAt('/', '?login=failed')).toBe('/api/v1/auth/oidc/login?to=%2F')
})
