import { expect, test } from 'vitest'
import { external, serviceOfPath, servicePath } from './url'

test.each(['cart', 'a/b', '100%', 'ä ö', 'a?b#c', '%2F'])('the path of %s names it again', (name) => {
  expect(serviceOfPath(servicePath(name))).toBe(name)
})

test('links keep the path and query of their base', () => {
  expect(external('http://jaeger:16686/ui/', '/search', { service: 'a&b' })).toBe('http://jaeger:16686/ui/search?service=a%26b')
  expect(external('https://g.example/?orgId=1', '/explore')).toBe('https://g.example/explore?orgId=1')
})
