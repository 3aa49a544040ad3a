import { expect, test } from 'vitest'
import { verdictOf } from './verdict'

const side = (error_rate: number, p95_ms: number) => ({ calls: 100, errors: 0, error_rate, p95_ms })

test('the newest verdict counts, with what changed', () => {
  expect(verdictOf({}).word).toBe('')
  expect(verdictOf({ verdicts: [] }).title).toContain('10 min after')
  const same = { after_s: 600, verdict: 'same' as const, operations: [] }
  const worse = {
    after_s: 1800,
    verdict: 'worse' as const,
    operations: [
      {
        name: 'Charge',
        kind: 'SPAN_KIND_SERVER',
        change: 'worse' as const,
        errors: 'worse' as const,
        latency: 'same' as const,
        before: side(0, 20),
        after: side(0.333, 20),
      },
      {
        name: 'Quote',
        kind: 'SPAN_KIND_SERVER',
        change: 'new' as const,
        errors: 'new' as const,
        latency: 'new' as const,
        before: side(0, 0),
        after: side(0, 5),
      },
    ],
  }
  expect(verdictOf({ verdicts: [same, worse] })).toEqual({
    word: 'worse',
    bad: true,
    title: 'After 30 min\nCharge: worse (failed 0 % → 33.3 %)\nQuote: new',
  })
  expect(verdictOf({ verdicts: [same] })).toEqual({ word: 'same', bad: false, title: 'After 10 min' })
})
