import { expect, test } from 'vitest'
import { changesOf } from './changes'

test('what a save would change, field by field', () => {
  const before = { name: 'A', type: 'alerting' as const, expr: 'a > 1', for: '5m', labels: { team: 'x', severity: 'page' }, enabled: true }
  const after = { ...before, expr: 'a > 2', for: '', labels: { severity: 'warning' }, annotations: { summary: 's' } }
  expect(changesOf(before, after)).toEqual([
    { field: 'Condition', before: 'a > 1', after: 'a > 2' },
    { field: 'For', before: '5m', after: '' },
    { field: 'Label severity', before: 'page', after: 'warning' },
    { field: 'Label team', before: 'x', after: '' },
    { field: 'Annotation summary', before: '', after: 's' },
  ])
  expect(changesOf(before, before)).toEqual([])
})
