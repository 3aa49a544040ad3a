import { expect, test } from 'vitest'
import type { TraceSummary } from '../api/types'
import { groupsOf } from './groups'

const trace = (service: string, operation: string, ms: number, failed = 0) =>
  ({ rootServiceName: service, rootOperationName: operation, duration_ms: ms, errorSpanCount: failed }) as TraceSummary

test('groups have their traces, failures and quantiles', () => {
  const list = [trace('a', 'x', 30, 1), trace('a', 'x', 10), trace('a', 'x', 20), trace('a', 'y', 5), trace('b', 'x', 1)]
  expect(groupsOf(list, 'operation').map((g) => [g.key, g.count, g.failed, g.p50, g.p95, g.longest.duration_ms])).toEqual([
    ['a x', 3, 1, 20, 30, 30],
    ['a y', 1, 0, 5, 5, 5],
    ['b x', 1, 0, 1, 1, 1],
  ])
  expect(groupsOf(list, 'service').map((g) => [g.key, g.count])).toEqual([
    ['a', 4],
    ['b', 1],
  ])
})
