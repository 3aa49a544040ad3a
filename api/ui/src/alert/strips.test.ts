import { expect, test } from 'vitest'
import { holdsAround, stretchesOf, stripWords, thresholdsAround, ticksOf, wouldWords } from './strips'

const at = (seconds: number) => new Date(seconds * 1000).toISOString()
const turn = (seconds: number, from: string, to: 'pending' | 'firing' | 'resolved' | 'inactive') => ({
  time: at(seconds),
  from,
  to,
  value: 1,
})
const shares = (list: ReturnType<typeof stretchesOf>) => list.map((s) => [s.state, s.from, s.to])

test('an alert is pending, fires and resolves', () => {
  const list = stretchesOf([turn(10, '', 'pending'), turn(30, 'pending', 'firing'), turn(80, 'firing', 'resolved')], 0, 100_000)
  expect(shares(list)).toEqual([
    ['pending', 0.1, 0.3],
    ['firing', 0.3, 0.8],
  ])
  expect(list[1]).toMatchObject({ begin: 30_000, end: 80_000 })
})

test('what is active at the begin or the end is cut there', () => {
  expect(shares(stretchesOf([turn(0, '', 'firing')], 0, 100_000))).toEqual([['firing', 0, 1]])
  expect(shares(stretchesOf([turn(-50, '', 'firing'), turn(50, 'firing', 'resolved')], 0, 100_000))).toEqual([['firing', 0, 0.5]])
  expect(shares(stretchesOf([turn(50, '', 'pending'), turn(500, 'pending', 'firing')], 0, 100_000))).toEqual([['pending', 0.5, 1]])
})

test('what fires again is two stretches, what never did is none', () => {
  const list = [turn(10, '', 'firing'), turn(20, 'firing', 'resolved'), turn(40, 'resolved', 'firing'), turn(50, 'firing', 'inactive')]
  expect(shares(stretchesOf(list, 0, 100_000))).toEqual([
    ['firing', 0.1, 0.2],
    ['firing', 0.4, 0.5],
  ])
  expect(stretchesOf([], 0, 100_000)).toEqual([])
  expect(stretchesOf([turn(10, '', 'pending'), turn(10, 'pending', 'inactive')], 0, 100_000)).toEqual([])
  expect(stretchesOf([turn(0, '', 'firing')], 5000, 5000)).toEqual([])
})

test('what would have been, in words', () => {
  const none = { fired: 0, firing_s: 0, longest_s: 0, pending_s: 0, flaps: 0 }
  expect(wouldWords(none, 0)).toBe('would not have fired')
  expect(wouldWords({ ...none, pending_s: 40 }, 0)).toBe('would not have fired; it was pending for 40 s')
  expect(wouldWords({ ...none, firing_s: 40, longest_s: 40 }, 1)).toBe('was firing from the begin, 40 s in total, 1 notification')
  expect(wouldWords({ ...none, fired: 1, firing_s: 120, longest_s: 120 }, 2)).toBe(
    'would have fired once, 2 min in total, 0 flaps, 2 notifications',
  )
  expect(wouldWords({ fired: 3, firing_s: 2460, longest_s: 1200, pending_s: 60, flaps: 1 }, 5)).toBe(
    'would have fired 3 times, 41 min in total, 20 min at the longest, 1 flap, 5 notifications',
  )
})

test('a strip in words', () => {
  const list = stretchesOf([turn(10, '', 'pending'), turn(30, 'pending', 'firing')], 0, 60_000)
  expect(stripWords(list, (ms) => `${ms / 1000}s`)).toBe('pending 10s to 30s, firing 30s to 60s')
  expect(stripWords([], String)).toBe('never active')
  expect(stripWords(new Array(22).fill(list[0]), String)).toMatch(/ and 2 more$/)
})

test('ticks have the day where the range is longer than one', () => {
  expect(ticksOf(0, 3_600_000).map((t) => t.at)).toEqual([0, 0.25, 0.5, 0.75, 1])
  expect(ticksOf(0, 3_600_000)[0]?.label).toMatch(/^\d\d:\d\d$/)
  expect(ticksOf(0, 7 * 86_400_000)[0]?.label).toMatch(/^\d\d-\d\d \d\d:\d\d$/)
})

test('variants lie around what is there', () => {
  expect(thresholdsAround(0.05)).toEqual([0.025, 0.0375, 0.0625, 0.075, 0.1])
  expect(thresholdsAround(-4)).toEqual([-8, -6, -5, -3, -2])
  expect(thresholdsAround(0)).toEqual([1, 5, 10])
  expect(holdsAround(60)).toEqual([0, 300, 900])
  expect(holdsAround(42)).toEqual([0, 60, 300, 900])
})
