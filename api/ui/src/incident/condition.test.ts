import { expect, test } from 'vitest'
import { splitCondition } from './condition'

test('a condition is what it looks at and a number', () => {
  expect(splitCondition('sum by (a) (increase(x{status_code="> 3"}[1m])) > 15')).toEqual({
    expr: 'sum by (a) (increase(x{status_code="> 3"}[1m]))',
    op: '>',
    threshold: 15,
  })
  expect(splitCondition('a/b >= 0.05')).toEqual({ expr: 'a/b', op: '>=', threshold: 0.05 })
  expect(splitCondition('(x > 3) * 2 < 1e3')).toEqual({ expr: '(x > 3) * 2', op: '<', threshold: 1000 })
})

test('other conditions are not split', () => {
  for (const text of ['a > b', 'absent(x)', 'a > 1 and b > 2', 'a > 1 > 2', '(a) and (b) > 1', 'x', 'a > 1 or vector(1)', 'a > 1d'])
    expect(splitCondition(text), text).toBeUndefined()
})
