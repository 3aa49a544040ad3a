import { afterEach, expect, test } from 'vitest'
import { pathWith } from '../api/client'
import { chooseDimensions, dimensionsOf } from './dimensions'

afterEach(() => chooseDimensions({}))

test('the URL says what the page is narrowed to', () => {
  const params = new URLSearchParams('range=1h&filter[deployment.environment.name]=prod&filter[x]=&other[y]=z')
  expect(dimensionsOf(params)).toEqual({ 'deployment.environment.name': 'prod' })
})

test('requests are narrowed where the API can do so', () => {
  chooseDimensions({ env: 'a b' })
  expect(pathWith('/api/v1/services', { start: 1 })).toBe('/api/v1/services?start=1&filter%5Benv%5D=a+b')
  expect(pathWith('/api/v1/services/a%2Fb/metrics')).toBe('/api/v1/services/a%2Fb/metrics?filter%5Benv%5D=a+b')
  expect(pathWith('/api/v1/logs/tail', {})).toBe('/api/v1/logs/tail?filter%5Benv%5D=a+b')
  expect(pathWith('/api/v1/logs/context', {})).toBe('/api/v1/logs/context?filter%5Benv%5D=a+b')
  expect(pathWith('/api/v1/exceptions/1f', {})).toBe('/api/v1/exceptions/1f?filter%5Benv%5D=a+b')
  for (const path of ['/api/v1/traces/0af7', '/api/v1/auth/me', '/api/v1/alerts/active', '/api/v1/services/a/b/c'])
    expect(pathWith(path)).toBe(path)
})
