import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { seldom } from './seldom'

beforeEach(() => vi.useFakeTimers({ now: 1_000_000_500 }))
afterEach(() => vi.useRealTimers())

test('the first change shows at once, then at most one in each step, at the same time for all', () => {
  const [a, b] = [vi.fn(), vi.fn()]
  const one = seldom(a, 2_000)
  const other = seldom(b, 2_000)
  one.call()
  expect(a).toHaveBeenCalledTimes(1)
  other.call()
  for (let i = 0; i < 10; i++) one.call()
  vi.advanceTimersByTime(300)
  other.call()
  expect(a).toHaveBeenCalledTimes(1)
  vi.advanceTimersByTime(1_200)
  expect(a).toHaveBeenCalledTimes(2)
  expect(b).toHaveBeenCalledTimes(2)
  vi.advanceTimersByTime(10_000)
  expect(a).toHaveBeenCalledTimes(2)
})

test('nothing is called once it is stopped', () => {
  const a = vi.fn()
  const one = seldom(a, 2_000)
  one.call()
  one.call()
  one.stop()
  vi.advanceTimersByTime(10_000)
  expect(a).toHaveBeenCalledTimes(1)
})
