import { expect, test } from 'vitest'
import { pathWith } from './client'

test('a list is one parameter for each item, what is empty is left out', () => {
  expect(pathWith('/x', { a: '', b: undefined, c: 0, d: ['k=v', 'l=a b'], e: [] })).toBe('/x?c=0&d=k%3Dv&d=l%3Da+b')
  expect(pathWith('/x', {})).toBe('/x')
})
