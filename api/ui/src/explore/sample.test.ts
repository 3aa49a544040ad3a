import { expect, test } from 'vitest'
import type { TraceSummary } from '../api/types'
import { sampleOf } from './sample'

const at = (seconds: number) => ({ minStartTimeUnixNano: `${seconds}000000000` }) as TraceSummary
const now = 1_000_000

test('a sample says what it is of all', () => {
  const list = [at(990), at(980)]
  expect(sampleOf(list, false, 'newest', { range: '5m' }, now)).toMatchObject({
    from: 700_000,
    to: now,
    sentence: expect.stringContaining('all 2'),
  })
  expect(sampleOf(list, true, 'newest', { range: '5m' }, now)).toMatchObject({
    from: 980_000,
    sentence: expect.stringContaining('newest 2 of'),
  })
  expect(sampleOf(list, true, 'slowest', { range: '5m' }, now)).toMatchObject({
    from: 700_000,
    sentence: expect.stringContaining('slowest 2 of'),
  })
  expect(sampleOf(list, false, 'newest', { from: 900, to: 960 }, now)).toMatchObject({ from: 900_000, to: 960_000 })
  expect(sampleOf([], true, 'newest', { from: 900, to: 960 }, now)).toMatchObject({ from: 959_999, to: 960_000 })
})
