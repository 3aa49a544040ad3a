import { describe, expect, test } from 'vitest'
import { compares, comparisonOf, stepOf, thresholdOf, withNumber, withThreshold } from './threshold'

describe('the number that a condition compares with', () => {
  test.each([
    ['a > 5', 'a', '>', 5],
    ['5 < a', 'a', '>', 5],
    ['0.01 >= rate(a[5m])', 'rate(a[5m])', '<=', 0.01],
    ['(a > 5)', 'a', '>', 5],
    ['(sum(a)) / (sum(b)) > 0.05', '(sum(a)) / (sum(b))', '>', 0.05],
    ['a == bool 1e3', 'a', '==', 1000],
    ['a != -1.5', 'a', '!=', -1.5],
    ['a > (5)', 'a', '>', 5],
    ['a{b=">"} > 5 # more than > 4', 'a{b=">"}', '>', 5],
    ['# what it is\na\n  > 5\n', 'a', '>', 5],
    ['rate(a{b=~"x|and"}[5m]) < .5', 'rate(a{b=~"x|and"}[5m])', '<', 0.5],
  ])('%s', (text, expr, op, threshold) => {
    expect(comparisonOf(text)).toMatchObject({ expr, op, threshold })
  })

  test.each(['a', 'a > b', 'a > 5 and b > 1', 'a > 5 > 3', '1 + 2', '', 'sum(a > 5)', '(a) > (b)', '(a > 5) or (b)'])(
    '%s has none',
    (text) => {
      expect(comparisonOf(text)).toBeUndefined()
      expect(withThreshold(text, 7)).toBe(text)
    },
  )

  test('another number leaves everything else as it is', () => {
    expect(withThreshold('(  a{x="> 5"} >5 ) # > 5', 7.5)).toBe('(  a{x="> 5"} >7.5 ) # > 5')
    expect(withThreshold('5 <= a', 1 / 3)).toBe('0.3333 <= a')
    expect(thresholdOf(withThreshold('a > 1', -2))).toBe(-2)
  })
})

test.each([
  [1, 0.01],
  [0.037, 0.0005],
  [240, 2],
  [0, 0.01],
  [9_000, 100],
])('a scale of %d has steps of %d', (size, step) => expect(stepOf(size)).toBe(step))

test('a threshold is added above what was seen', () => {
  expect(withNumber('rate(a{b=">"}[5m])', 10)).toBe('rate(a{b=">"}[5m]) > 11')
  expect(withNumber('a and b', 0)).toBe('(\na and b\n) > 1')
  expect(thresholdOf(withNumber('a # > 4', 1))).toBe(1.1)
})

test.each([
  ['a > 1 and b', true],
  ['a unless b != 0', true],
  ['sum(a{b!="c", d=~">"})', false],
  ['rate(a[5m]) # > 3', false],
])('%s compares: %s', (expr, is) => expect(compares(expr)).toBe(is))
