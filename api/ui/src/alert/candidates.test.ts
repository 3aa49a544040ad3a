import { expect, test } from 'vitest'
import type { Candidate, Why } from '../api/types'
import { confidenceText, termText } from './candidates'

type Term = Candidate['terms'][number]
const term = (t: Partial<Term>): Term => ({ signal: 'errors', subject: '', before: 0, now: 1, unit: 'ratio', share: 1, score: 0.9, ...t })

test('a term is a sentence with its values before and now', () => {
  expect(termText(term({ before: 0.002, now: 0.44 }))).toBe('failed calls 0.20 % → 44.0 %')
  expect(termText(term({ signal: 'latency', before: 12.94, now: 377.5, unit: 'ms' }))).toBe('time of calls 12.9 ms → 378 ms')
  expect(termText(term({ signal: 'stopped', subject: 'ads', before: 0.5, now: 0.1, unit: 'calls per call' }))).toBe(
    'calls made for each call to ads 0.5 → 0.1',
  )
  expect(termText(term({ signal: 'cpu', before: 0.05, now: 0.75, unit: 'cores' }))).toBe('CPU 0.05 cores → 0.75 cores')
  expect(termText(term({ signal: 'began', subject: 'no code <*>', before: 0, now: 12, unit: 'lines' }))).toBe(
    'new warnings or errors 0 → 12',
  )
  expect(termText(term({ signal: 'skipped', subject: 'end <*>', before: 50, now: 0, unit: 'lines' }))).toBe('log lines 50 → 0')
  expect(termText(term({ signal: 'skipped', subject: 'operation commit', before: 50, now: 0, unit: 'spans' }))).toBe(
    'spans of an operation 50 → 0',
  )
})

test('a weak first candidate is no cause', () => {
  expect(confidenceText({ confidence: 0.1234 } as Why)).toBe('confidence 12.3 %, too little to name a cause')
  expect(confidenceText({ confidence: 0.9, cause: {} } as Why)).toBe('confidence 90.0 %')
})
