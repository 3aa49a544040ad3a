import { expect, test } from 'vitest'
import { labelWidth, placeLabels } from './labels'
import type { Gap } from './layout'

const gap: Gap = [0, 0, 104, 0]

test('labels stay between the columns and do not cover one another', () => {
  const placed = placeLabels([
    { id: 'a', text: '12.0 %', way: [gap], near: 'to' },
    { id: 'b', text: '12.0 %', way: [gap], near: 'to' },
    { id: 'c', text: '12.0 %', way: [[0, 40, 104, 80]], near: 'to' },
    { id: 'd', text: 'much too long for a gap', way: [gap], near: 'to' },
  ])
  expect(placed.map((p) => p.id)).toContain('a')
  expect(placed.map((p) => p.id)).toContain('c')
  expect(placed.map((p) => p.id)).not.toContain('d')
  for (const p of placed) {
    expect(p.x - labelWidth(p.text) / 2).toBeGreaterThanOrEqual(0)
    expect(p.x + labelWidth(p.text) / 2).toBeLessThanOrEqual(104)
    for (const o of placed) {
      if (o === p) continue
      expect(Math.abs(o.y - p.y) >= 17 || Math.abs(o.x - p.x) >= (labelWidth(o.text) + labelWidth(p.text)) / 2).toBe(true)
    }
  }
})
