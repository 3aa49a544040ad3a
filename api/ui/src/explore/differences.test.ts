import { expect, test } from 'vitest'
import type { SpanDifference } from '../api/types'
import { sentenceOf, valueText } from './differences'

const value = (v: Partial<SpanDifference['values'][number]>) => ({
  value: 'JPY',
  is: 'equal' as const,
  selected: 92,
  others: 8,
  selected_share: 0.92,
  others_share: 0.08,
  condition: 'app.currency=JPY',
  ...v,
})
const difference = (d: Partial<SpanDifference>): SpanDifference => ({
  scope: 'span',
  key: 'app.currency',
  information: 0.8,
  outcome: false,
  distinct: 2,
  overflow: 0,
  values: [value({})],
  ...d,
})

test('values are shown as they are meant', () => {
  expect(valueText(value({}))).toBe('JPY')
  expect(valueText(value({ value: '' }))).toBe('""')
  expect(valueText(value({ is: 'at_least', value: '64' }))).toBe('≥ 64')
  expect(valueText(value({ is: 'missing', value: '' }))).toBe('not set')
})

test('the first difference is a sentence', () => {
  expect(sentenceOf([difference({})], 'failed')).toBe('app.currency is JPY in 92 % of the failed spans and in 8 % of the others.')
  expect(sentenceOf([difference({ values: [value({ is: 'missing' })] })], 'slow')).toContain('app.currency is not set in 92 %')
  expect(sentenceOf([], 'failed')).toBeUndefined()
  expect(sentenceOf([difference({ outcome: true })], 'failed')).toBeUndefined()
})
