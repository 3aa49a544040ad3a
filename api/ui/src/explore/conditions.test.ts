import { expect, test } from 'vitest'
import { paramOf, parseConditions, textOf } from './conditions'

const params = (text: string) => parseConditions(text).list.map(paramOf)

test('conditions as they are typed', () => {
  expect(params('http.status_code>=500')).toEqual(['http.status_code>=500'])
  expect(params(' http.route=/cart?a=b  http.status_code >= 500 retry')).toEqual(['http.route=/cart?a=b', 'http.status_code>=500', 'retry'])
  expect(params('a!=b c~^x.*y$ d<1 e<=-2.5 f>1e3')).toEqual(['a!=b', 'c~^x.*y$', 'd<1', 'e<=-2.5', 'f>1e3'])
  expect(params('env="a b" db="say \\"x\\" \\\\ y" empty=""')).toEqual(['env=a b', 'db=say "x" \\ y', 'empty='])
  expect(params('')).toEqual([])
})

test('what is wrong with a text is said', () => {
  expect(parseConditions('a>=much').problem).toContain('"much" is not a number')
  expect(parseConditions('a=').problem).toContain('"a=" lacks a value')
  expect(parseConditions('=x').problem).toContain('"=x" is not a condition')
  expect(parseConditions('a=1 "').problem).toContain('is not a condition')
  expect(parseConditions('a>1').problem).toBeUndefined()
})

test('a text of conditions is read as it was', () => {
  for (const text of ['a=1 b!=x c', 'env="a b" q="\\"" n="" r~"a b"', 'x>=5 y~^a$']) {
    const { list } = parseConditions(text)
    expect(parseConditions(textOf(list)).list).toEqual(list)
  }
})
