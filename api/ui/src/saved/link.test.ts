import { expect, test } from 'vitest'
import { savedQuery, viewPath } from './link'

const view = (query: string) => ({ page: 'traces', query }) as const

test('a view is saved with or without its range, never narrowed', () => {
  const search = 'service=pay&from=now-1h&filter%5Benv%5D=prod'
  expect(savedQuery(search, false)).toBe('service=pay')
  expect(savedQuery(search, true)).toBe('from=now-1h&service=pay')
})

test('a view keeps the range of the page unless it has its own', () => {
  const here = 'status=ok&from=now-1h&filter%5Benv%5D=prod'
  expect(viewPath(view('service=pay'), here)).toBe('/traces?service=pay&from=now-1h&filter%5Benv%5D=prod')
  expect(viewPath(view('from=10&to=20'), here)).toBe('/traces?from=10&to=20&filter%5Benv%5D=prod')
  expect(viewPath({ page: 'metrics', query: '' }, '')).toBe('/query')
})
