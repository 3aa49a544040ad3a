import { expect, test } from 'vitest'
import { sharesOf, sharesSentence, shareText, suspicious } from './shares'

const value = (v: string, spans: number, failed: number) => ({ value: v, spans, failed, condition: '' })
const facet = (scope: 'span' | 'resource', key: string, ...values: ReturnType<typeof value>[]) => ({
  scope,
  key,
  spans: 40,
  distinct: 2,
  overflow: 0,
  values,
})

test('a value has a share among failed and among ok spans, by where the attribute is', () => {
  const shares = sharesOf({
    spans: 40,
    failed: 10,
    facets: [facet('span', 'version', value('1', 30, 1), value('2', 10, 9)), facet('resource', 'version', value('2', 40, 10))],
  })
  expect(shares('span', 'version', '2')).toEqual({ failed: 0.9, ok: 1 / 30 })
  expect(shares('resource', 'version', '2')).toEqual({ failed: 1, ok: 1 })
  expect(shares('span', 'version', '3')).toBeUndefined()
})

test('where no span failed there is no share among the failed', () => {
  const share = sharesOf({ spans: 4, failed: 0, facets: [facet('span', 'a', value('b', 2, 0))] })('span', 'a', 'b')
  expect(share).toEqual({ failed: undefined, ok: 0.5 })
  expect(share && shareText(share)).toBe('ok 50.0 %')
  expect(share && suspicious(share)).toBe(false)
})

test('a sample says that it is one', () => {
  expect(sharesSentence({ spans: 1200, failed: 200, sampled: true, read_share: 0.4 })).toBe(
    'Shares among 200 failed and 1,000 ok spans of this operation in the hour around the trace, a sample of 40.0 %.',
  )
  expect(sharesSentence({ spans: 2, failed: 1, sampled: false, read_share: 1 })).not.toContain('sample')
})
