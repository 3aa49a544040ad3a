import { expect, test } from 'vitest'
import type { Alert, Rule } from '../api/types'
import { exprOfLink, pathOfExpr, pathOfHash } from './links'

test.each([
  ['#/alerts?receiver=inbox', '/incidents?receiver=inbox'],
  ['#/alerts?receiver=night%2Fshift+2', '/incidents?receiver=night%2Fshift+2'],
  ['#/alerts?receiver=ops%5C.night%5C%2B1', '/incidents?receiver=ops.night%2B1'],
  ['#/alerts', '/incidents'],
  ['#/alerts?receiver=a&filter=%7Bx%3D%22y%22%7D', '/alerts?receiver=a&q=y'],
  [
    '#/alerts?silenced=false&inhibited=false&active=true&filter=%7Balertname%3D%22Slow%22%2C%20service_name%3D%22a%20b%22%7D',
    '/alerts?q=Slow+a+b',
  ],
  ['#/alerts?filter=%7Balertname!%3D%22Slow%22%2Ca%3D~%22x.*%22%7D', '/incidents'],
  ['#/silences/new?filter=%7Balertname%3D%22Slow%22%7D', '/alerts?q=Slow'],
  ['#/silences/1c2d-44', '/alerts'],
  ['#/status', '/pipeline'],
  ['#main', undefined],
  ['#/nonsense', undefined],
  ['', undefined],
])('%s is %s', (hash, path) => {
  expect(pathOfHash(hash)).toBe(path)
})

const rule = (id: string, expr: string): Rule =>
  ({
    id,
    type: 'alerting',
    expr,
    generator_url: `https://here/graph?g0.expr=${encodeURIComponent(expr).replaceAll('%20', '+')}&g0.tab=1`,
  }) as Rule
const alertOf = (id: string): Alert => ({ rule_id: id }) as Alert

test('the expression of a link is that of a rule', () => {
  expect(exprOfLink('https://here/graph?g0.expr=a+%3E+1&g0.tab=1')).toBe('a > 1')
  expect(exprOfLink('')).toBeUndefined()
  const rules = [rule('1', 'a > 1'), rule('2', 'b > 1'), rule('3', 'b > 1'), { ...rule('4', 'c > 1'), type: 'recording' } as Rule]
  expect(pathOfExpr('a > 1', rules, [])).toBe('/alerts/rules/1')
  expect(pathOfExpr('a > 1', rules, [alertOf('1'), alertOf('2')])).toBe('/alerts?rule=1')
  expect(pathOfExpr('b > 1', rules, [alertOf('3')])).toBe('/alerts?rule=3')
  expect(pathOfExpr('b > 1', rules, [])).toBe('/alerts?rule=2%2C3')
  expect(pathOfExpr('c > 1', rules, [])).toBeUndefined()
})
