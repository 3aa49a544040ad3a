import { expect, test } from 'vitest'
import type { Rule } from '../api/types'
import { thresholdOf, withThreshold } from '../promql/threshold'
import { draftOf, emptyDraft, fieldOf, inputOf, pair, plainDuration, promDuration, ruleOf, secondsOfDuration } from './draft'

test('durations as people write them', () => {
  expect(['0s', '10s', '1m0s', '1m30s', '1h0m0s', '1h0m5s', '24h0m0s', '10m0s'].map(plainDuration)).toEqual([
    '',
    '10s',
    '1m',
    '1m30s',
    '1h',
    '1h0m5s',
    '24h',
    '10m',
  ])
  expect(['', '0', '30s', '1m30s', '1d', '1.5h', '250ms', '5', 'x', '5x', '-1m'].map(secondsOfDuration)).toEqual([
    0,
    0,
    30,
    90,
    86_400,
    5400,
    0.25,
    undefined,
    undefined,
    undefined,
    undefined,
  ])
  expect([0, 30, 60, 90, 3600, 86_400].map(promDuration)).toEqual(['0s', '30s', '1m', '90s', '1h', '1d'])
})

test('the number at the end of a condition is its threshold', () => {
  expect(thresholdOf('sum(x) > 15')).toBe(15)
  expect(thresholdOf('sum(x)>=0.05 ')).toBe(0.05)
  expect(thresholdOf('x < bool 1e-3')).toBe(0.001)
  expect(thresholdOf('x == -2')).toBe(-2)
  expect(thresholdOf('sum(x > 3)')).toBeUndefined()
  expect(thresholdOf('x > y')).toBeUndefined()
  expect(thresholdOf('x > 1 and y')).toBeUndefined()
  expect(thresholdOf('x{a="> 3"}')).toBeUndefined()
  expect(withThreshold('sum(x > 3)\n  > 15\n', 20)).toBe('sum(x > 3)\n  > 20\n')
  expect(withThreshold('x > 0.1', 0.1 + 0.2)).toBe('x > 0.3')
  expect(withThreshold('x > y', 1)).toBe('x > y')
})

test('a rule goes through the fields and back', () => {
  const input = {
    name: 'A',
    type: 'alerting' as const,
    expr: 'x > 1',
    for: '5m0s',
    keep_firing_for: '0s',
    labels: { severity: 'page' },
    annotations: {},
    enabled: false,
    group: 'g',
  }
  expect(inputOf({ ...input, id: '1', state: 'firing' } as unknown as Rule)).toEqual(input)
  expect(ruleOf(draftOf(input))).toEqual({
    name: 'A',
    type: 'alerting',
    expr: 'x > 1',
    for: '5m',
    labels: { severity: 'page' },
    enabled: false,
    group: 'g',
  })
  expect(ruleOf({ ...emptyDraft(), name: ' B ', expr: ' y ', labels: [pair('a', ''), pair('', 'b')] })).toEqual({
    name: 'B',
    type: 'alerting',
    expr: 'y',
    for: '1m',
    enabled: true,
  })
})

test('errors belong to fields', () => {
  const of = (message: string, code = 'invalid_rule') => fieldOf({ message, code })
  expect(
    of('the rule is not valid: 5:17: group "page", rule 1, "bad": could not parse expression: 1:6: parse error: unclosed left parenthesis'),
  ).toEqual({
    field: 'expr',
    text: '1:6: parse error: unclosed left parenthesis',
  })
  expect(
    of('the rule is not valid: group "page", rule 2, "bad": annotation "summary": template: __alert_bad:1: undefined variable "$x"').field,
  ).toBe('annotations')
  expect(of('such a backtest cannot be: the condition of bad does not compare with a number', 'invalid_backtest').field).toBe('expr')
  expect(of('for: "5x" is no duration', 'invalid_duration')).toEqual({ field: 'for', text: '"5x" is no duration' })
  expect(of('keep_firing_for: "5x" is no duration', 'invalid_duration').field).toBe('keep')
  expect(of('it could not be stored', 'unavailable').field).toBeUndefined()
})
