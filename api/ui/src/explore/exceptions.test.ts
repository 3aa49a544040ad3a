import { expect, test } from 'vitest'
import { mergedWords, sourceWords, versionWords } from './exceptions'

const both: { source: 'span' | 'log'; count: number }[] = [
  { source: 'span', count: 325 },
  { source: 'log', count: 320 },
]

test('sources of exceptions in words', () => {
  expect(sourceWords({ sources: both })).toBe('spans and logs')
  expect(mergedWords({ sources: both, merged: 'checked' })).toMatch(/^325 from spans, 320 from logs\. .*each counts once\.$/)
  expect(mergedWords({ sources: both, merged: 'distinct' })).toMatch(/so both count\.$/)
  expect(mergedWords({ sources: both.slice(0, 1), merged: 'none' })).toBe('325 from spans')
  expect(versionWords({ first_versions: [1, 2].map((n) => ({ service: 'cart', version: `1.${n}` })) })).toBe('1.1 or 1.2')
})
