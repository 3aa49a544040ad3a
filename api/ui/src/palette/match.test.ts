import { expect, test } from 'vitest'
import { type Entry, find, type Kind, most } from './match'

const entry = (kind: Kind, label: string, also?: string): Entry => ({
  id: `${kind} ${label}`,
  kind,
  label,
  to: { path: '/' },
  ...(also === undefined ? {} : { also }),
})

const labels = (entries: Entry[], text: string) => find(entries, text).groups.flatMap((g) => g.entries.map((e) => e.label))

test('what begins with the text comes before words that do, and those before any other place', () => {
  const services = ['discart', 'my-cart', 'cart', 'MyCart', 'cart-db'].map((n) => entry('service', n))
  expect(labels(services, 'CART')).toEqual(['cart', 'cart-db', 'MyCart', 'my-cart', 'discart'])
})

test('a word that begins later counts, although the text is within an earlier one', () => {
  const services = ['xcat-zcat', 'xcat-cat'].map((n) => entry('service', n))
  expect(labels(services, 'cat')).toEqual(['xcat-cat', 'xcat-zcat'])
})

test('words in another order, and in what else an entry is found by, come last', () => {
  const entries = [entry('incident', 'payment fails', 'HighErrorRate checkout'), entry('service', 'checkout')]
  expect(labels(entries, 'checkout')).toEqual(['checkout', 'payment fails'])
  expect(labels(entries, 'fails  payment')).toEqual(['payment fails'])
  expect(labels(entries, 'fails nothing')).toEqual([])
})

test('groups are by kind, the one with the best match first', () => {
  const entries = [entry('page', 'Road map'), entry('service', 'mapper'), entry('page', 'Sitemap'), entry('rule', 'MapSlow')]
  expect(find(entries, 'map').groups.map((g) => [g.kind, g.entries.map((e) => e.label)])).toEqual([
    ['service', ['mapper']],
    ['rule', ['MapSlow']],
    ['page', ['Road map', 'Sitemap']],
  ])
})

test('at most 20 are shown, the best, and how many match is counted', () => {
  const entries = [...Array.from({ length: 500 }, (_, i) => entry('service', `x cart ${i}`)), entry('rule', 'cart')]
  const found = find(entries, 'cart')
  expect(found.groups.reduce((n, g) => n + g.entries.length, 0)).toBe(most)
  expect(found.groups[0]?.entries[0]?.label).toBe('cart')
  expect(found.total).toBe(501)
})

test('without a text entries stay in their order, by kind', () => {
  expect(labels([entry('service', 'b'), entry('service', 'a'), entry('page', 'Traces'), entry('page', 'Map')], ' ')).toEqual([
    'Traces',
    'Map',
    'b',
    'a',
  ])
})

test('signs of expressions are plain text', () => {
  expect(labels([entry('service', 'c(a)+rt#1 & 100%'), entry('service', 'caart')], '(a)+')).toEqual(['c(a)+rt#1 & 100%'])
})
