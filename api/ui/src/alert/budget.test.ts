import { expect, test } from 'vitest'
import { budgetText, budgetWidth, coveredText, draftOf, emptySLO, goodWords, sloField, sloOf, standingOf } from './budget'

const status = { error_ratio: 0.001, budget_remaining: 0.5, burn_rate: 0.2, window_covered: 1, alerts: [] as string[] }
const standing = (over: Partial<{ [K in keyof typeof status]: (typeof status)[K] | null }>) =>
  standingOf({ status: { ...status, ...over } as typeof status })

test('alerts come before the budget, the budget before the rate', () => {
  expect(standing({})).toEqual({ health: 'ok', word: 'ok' })
  expect(standing({ burn_rate: 3 })).toEqual({ health: 'pending', word: 'burns too fast' })
  expect(standing({ burn_rate: 3, budget_remaining: -1 })).toEqual({ health: 'firing', word: 'budget used up' })
  expect(standing({ budget_remaining: null })).toEqual({ health: 'nodata', word: 'no data' })
  expect(standing({ alerts: ['page', 'page', 'ticket'] })).toEqual({ health: 'firing', word: 'alert: page, ticket' })
})

test('a budget as text and as a bar', () => {
  expect([1, 0.5, 0.0512, 0, 0.0001, -0.0001, -2.5].map(budgetText)).toEqual(['100', '50', '5.1', '0.0', '<0.1', '>-0.1', '-250'])
  expect([1.2, 0.5, -2].map(budgetWidth)).toEqual([1, 0.5, 0])
})

test('what is good, in words', () => {
  expect(goodWords({ service: 'cart' })).toBe('requests to cart do not fail')
  expect(goodWords({ service: 'cart', operation: 'Get', latency_ms: 400 })).toBe('Get of cart take no longer than 400 ms')
  expect(goodWords({ good: 'x', service: '' })).toBe('by PromQL')
})

test('the fields as the API takes them', () => {
  expect(sloOf({ ...emptySLO, name: ' a ', service: 'cart', latency: '400', objective: '99,5' })).toEqual({
    name: 'a',
    objective: 99.5,
    window: '30d',
    service: 'cart',
    latency_ms: 400,
  })
  expect(sloOf({ ...emptySLO, name: 'a', by: 'promql', service: 'cart', good: 'g', total: 't', description: 'd' })).toEqual({
    name: 'a',
    objective: 99.9,
    window: '30d',
    good: 'g',
    total: 't',
    description: 'd',
  })
})

test('errors belong to fields', () => {
  expect(sloField({ message: 'the SLO is not valid: objective: 101 is no share' })).toEqual({ field: 'objective', text: '101 is no share' })
  expect(sloField({ message: 'window: "30q" is no duration' })).toEqual({ field: 'window', text: '"30q" is no duration' })
  expect(sloField({ message: 'the SLO is not valid: give either service, or good and total' }).field).toBe('service')
  expect(sloField({ message: 'it could not be stored' })).toEqual({ field: undefined, text: 'it could not be stored' })
})

test('a window that has data in part is said to have', () => {
  expect(coveredText({ window: '30d', status: { ...status, window_covered: 0.0003 } })).toMatch(/^There is data for 0.03 % of the 30d/)
  expect(coveredText({ window: '30d', status })).toBeUndefined()
  expect(coveredText({ window: '30d', status: { ...status, window_covered: null } })).toBeUndefined()
})

test('an objective that is edited and not changed stays the same', () => {
  const status = { error_ratio: null, budget_remaining: null, burn_rate: null, window_covered: null, alerts: [] }
  const of = { name: 'checkout answers', objective: 99.9, window: '30d', service: 'checkout', operation: 'POST /checkout', latency_ms: 400 }
  expect(sloOf(draftOf({ id: 'x', status, ...of }))).toEqual(of)
  const promql = { name: 'a', objective: 99, window: '7d', good: 'sum(rate(g[$window]))', total: 'sum(rate(t[$window]))', description: 'd' }
  expect(sloOf(draftOf({ id: 'x', status, ...promql }))).toEqual(promql)
})
