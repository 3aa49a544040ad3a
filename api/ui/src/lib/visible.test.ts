import { expect, test } from 'vitest'
import { visible } from './visible'

test('what cannot be seen is shown', () => {
  expect(visible('plain name')).toBe('plain name')
  expect(visible('שלום ü 漢字 🐈')).toBe('שלום ü 漢字 🐈')
  expect(visible('a\nb\tc')).toBe('a⏎b⇥c')
  expect(visible('pay\u200bment')).toBe('pay‹200B›ment')
  expect(visible('liaf\u202e 1')).toBe('liaf‹202E› 1')
  expect(visible('\ufeffx\0')).toBe('‹FEFF›x␀')
})
