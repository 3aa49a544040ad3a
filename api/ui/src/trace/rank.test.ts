import { expect, test } from 'vitest'
import { baselineOf, baselinesOf, quantileOf, rankOf } from './rank'
import { rankText } from './rows'
import { span, trace } from './testing'
import { treeOf } from './tree'

const b = {
  service: 'shop',
  operation: 'a',
  kind: 'SPAN_KIND_SERVER',
  calls: 100,
  errors: 0,
  buckets: [
    { from_ms: 0, to_ms: 10, calls: 50 },
    { from_ms: 10, to_ms: 20, calls: 40 },
    { from_ms: 90, to_ms: 100, calls: 10 },
  ],
}

test('the rank is the share of calls that were faster, within a bucket by its part', () => {
  expect([0, 5, 10, 15, 50, 95, 100, 500].map((ms) => rankOf(b, ms))).toEqual([0, 0.25, 0.5, 0.7, 0.9, 0.95, 1, 1])
  const same = { ...b, buckets: [{ from_ms: 9, to_ms: 10, calls: 100 }] }
  expect([9.1, 10].map((ms) => rankOf(same, ms))).toEqual([0.5, 0.5]) // all calls took as long
  expect(rankOf(undefined, 5)).toBeUndefined()
  expect(rankOf({ ...b, calls: 19 }, 5)).toBeUndefined()
  expect([0.25, 0.5, 0.7, 1].map((q) => quantileOf(b, q))).toEqual([5, 10, 15, 100])
  expect([0, 0.5, 0.834, 0.995, 1].map(rankText)).toEqual(['p0', 'p50', 'p83', 'p99.5', 'p99.9'])
})

test('a span is compared with its own operation and kind', () => {
  const { nodes } = treeOf(trace(span('a', undefined, 0, 9, { 'span.kind': 'server' }), span('b', 'a', 1, 5)))
  const other = { ...b, service: 'bank', operation: 'b', calls: 7 }
  const calls = (kind: string) => nodes.map((n) => baselineOf(baselinesOf([b, { ...other, kind }]), n)?.calls)
  expect(calls('SPAN_KIND_CLIENT')).toEqual([100, undefined])
  expect(calls('SPAN_KIND_INTERNAL')).toEqual([100, 7])
  expect(calls('SPAN_KIND_UNSPECIFIED')).toEqual([100, 7]) // what names no kind is internal here, unspecified there
})
