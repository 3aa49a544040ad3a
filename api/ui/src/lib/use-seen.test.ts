import { renderHook } from '@testing-library/react'
import { expect, test } from 'vitest'
import { useHeld } from './use-seen'

interface Item {
  name: string
  n: number
}
const nameOf = (i: Item) => i.name
const list = (...items: [string, number][]) => items.map(([name, n]) => ({ name, n }))

test('a list that is not seen keeps its numbers until it is seen, and takes other items at once', () => {
  const first = list(['a', 1], ['b', 2])
  const { result, rerender } = renderHook(({ of, seen }) => useHeld(of, seen, nameOf), { initialProps: { of: first, seen: false } })
  expect(result.current).toBe(first)
  const newer = list(['a', 3], ['b', 4])
  rerender({ of: newer, seen: false })
  expect(result.current).toBe(first)
  rerender({ of: newer, seen: true })
  expect(result.current).toBe(newer)
  const other = list(['a', 5], ['c', 6])
  rerender({ of: other, seen: false })
  expect(result.current).toBe(other)
  const fewer = list(['a', 7])
  rerender({ of: fewer, seen: false })
  expect(result.current).toBe(fewer)
})
