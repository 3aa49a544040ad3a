import { act, renderHook } from '@testing-library/react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { nextMoment, paceOf, usePlay } from './play'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('moments go from the begin of the range to its end in whole steps', () => {
  expect(nextMoment(undefined, 103, 200, 10)).toBe(110)
  expect(nextMoment(110, 103, 200, 10)).toBe(120)
  expect(nextMoment(180, 103, 200, 10)).toBe(190)
  expect(nextMoment(190, 103, 200, 10)).toBeUndefined()
})

test('speed divides the pace, and little motion is slow whatever the speed', () => {
  expect([paceOf('1', false), paceOf('4', false), paceOf('4', true)]).toEqual([1_000, 250, 2_000])
})

function play() {
  const moments: (number | undefined)[] = []
  const props = { at: undefined as number | undefined, range: '15m', settled: true }
  const hook = renderHook(
    (p: typeof props) => usePlay({ ...p, every: 100, next: (at) => nextMoment(at, 100, 130, 10), onAt: (at) => void moments.push(at) }),
    { initialProps: props },
  )
  const shown = (p: Partial<typeof props>) => hook.rerender(Object.assign(props, p))
  const wait = () => act(() => void vi.advanceTimersByTime(100))
  return { hook, moments, shown, wait }
}

test('it plays to the end and stops there', () => {
  const { hook, moments, shown, wait } = play()
  act(() => hook.result.current.toggle())
  expect(hook.result.current.playing).toBe(true)
  for (const at of [100, 110, 120]) {
    shown({ at })
    wait()
  }
  expect(moments).toEqual([100, 110, 120, undefined])
  shown({ at: undefined })
  wait()
  expect(hook.result.current.playing).toBe(false)
  expect(moments).toHaveLength(4)
})

test('the next moment waits until the one before is shown', () => {
  const { hook, moments, shown, wait } = play()
  act(() => hook.result.current.toggle())
  shown({ at: 100, settled: false })
  wait()
  wait()
  expect(moments).toEqual([100])
  shown({ settled: true })
  wait()
  expect(moments).toEqual([100, 110])
})

test('a pause, a moment chosen by hand and another range stop it', () => {
  for (const stop of ['pause', 'moment', 'range']) {
    const { hook, moments, shown, wait } = play()
    act(() => hook.result.current.toggle())
    shown({ at: 100 })
    if (stop === 'pause') act(() => hook.result.current.toggle())
    if (stop === 'moment') shown({ at: 120 })
    if (stop === 'range') shown({ range: '1h' })
    expect(hook.result.current.playing).toBe(false)
    wait()
    expect(moments).toEqual([100])
  }
})
