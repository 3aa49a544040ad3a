import { expect, test } from 'vitest'
import { colorOf } from './color'
import { barColor, rankColor, serviceColors, slots } from './colors'
import { span, trace } from './testing'
import { treeOf } from './tree'

test('no two services of a trace share a colour while there are enough', () => {
  const names = ['frontend', 'inventory', 'checkout', 'invoice', 'accounts', 'shipping', 'fraud', 'email', 'payment', 'cart', 'tax', 'auth']
  expect(names).toHaveLength(slots)
  const colors = serviceColors(names.map((name) => ({ name })))
  expect(new Set(colors.values()).size).toBe(slots)
  expect(colors.get('frontend')).toBe(colorOf('frontend')) // the first keeps the one that it has everywhere
  const more = serviceColors([...names, 'search', 'ads'].map((name) => ({ name })))
  expect(new Set(more.values()).size).toBe(slots)
})

test('the origin of a failure is red, whatever else is coloured', () => {
  const { nodes } = treeOf(trace(span('a', undefined, 0, 9, { error: true }), span('b', 'a', 1, 5, { error: true }), span('c', 'a', 7, 1)))
  const services = new Map([
    ['shop', 'blue'],
    ['bank', 'green'],
  ])
  const of = (by: 'service' | 'rank' | 'error') => nodes.map((n) => barColor(n, { by, services, rank: () => 0.95 }))
  expect(of('service')).toEqual(['blue', 'var(--c-error)', 'blue'])
  expect(of('error')).toEqual(['var(--trace-failed)', 'var(--c-error)', 'var(--trace-none)'])
  expect(of('rank')).toEqual([rankColor(0.95), 'var(--c-error)', rankColor(0.95)])
  expect(rankColor(undefined)).toBe('var(--trace-none)')
  expect(new Set([0, 0.5, 0.9, 0.99, 1].map(rankColor)).size).toBe(4)
})
