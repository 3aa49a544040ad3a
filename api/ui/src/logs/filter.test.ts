import { expect, test } from 'vitest'
import type { LogLine } from '../api/types'
import { parseConditions } from '../explore/conditions'
import { type LineFilter, narrows, passes } from './filter'

const filter = (part: Partial<LineFilter> = {}, attrs = ''): LineFilter => ({
  service: '',
  severity: '',
  text: '',
  pattern: '',
  trace_id: '',
  conditions: parseConditions(attrs).list,
  ...part,
})
const line = (part: Partial<LogLine>): LogLine =>
  ({ service: '', severity: '', body: '', event_name: '', attributes: {}, resource: {}, ...part }) as LogLine

test.each<[LineFilter, LineFilter, boolean]>([
  [filter(), filter({ service: 'cart' }), true],
  [filter({ service: 'cart' }), filter(), false],
  [filter({ service: 'cart' }), filter({ service: 'mail' }), false],
  [filter({ severity: 'INFO' }), filter({ severity: 'ERROR' }), true],
  [filter({ severity: 'ERROR' }), filter({ severity: 'INFO' }), false],
  [filter({ severity: 'ERROR' }), filter(), false],
  [filter({ text: 'Pool' }), filter({ text: 'the pool is' }), true],
  [filter({ text: 'pool' }), filter({ text: 'po' }), false],
  [filter(), filter({ pattern: 'a <*>' }), false],
  [filter({}, 'a=1'), filter({}, 'a=1 b>2'), true],
  [filter({}, 'a=1'), filter({}, 'b>2'), false],
  [filter(), filter({}, 'a~(?i)x'), false],
])('%j to %j narrows: %s', (a, b, want) => {
  expect(narrows(a, b)).toBe(want)
})

test.each([
  ['http.status_code>=500', true],
  ['http.status_code<500', false],
  ['resource.k8s.pod.name~^cart-', true],
  ['k8s.pod.name!=cart-1', false],
  ['user', true],
  ['nobody', false],
  ['user="Ada L"', true],
  ['user>1', false],
])('%s is decided as the server does', (attrs, want) => {
  const l = line({ attributes: { 'http.status_code': 503, user: 'Ada L' }, resource: { 'k8s.pod.name': 'cart-1' } })
  expect(passes(filter({}, attrs), l)).toBe(want)
})

test('severity and text are those of the server', () => {
  const l = line({ severity: 'WARN', body: 'The Pool is full', event_name: 'pool.full' })
  expect(passes(filter({ severity: 'WARN', text: 'pool' }), l)).toBe(true)
  expect(passes(filter({ severity: 'ERROR' }), l)).toBe(false)
  expect(passes(filter({ text: 'POOL.FULL' }), l)).toBe(true)
  expect(passes(filter({ severity: 'TRACE' }), line({ severity: 'UNSPECIFIED' }))).toBe(false)
})
