import { expect, test } from 'vitest'
import { boxHeight, boxWidth, type Positions } from './layout'
import { firstView, nextBox, revealing, seen, steady, textZoom, zoomed } from './view'

const screen = { width: 1200, height: 600 }
const grid = (columns: number, rows: number): Positions =>
  Object.fromEntries(
    Array.from({ length: columns * rows }, (_, i) => [`n${i}`, { x: (i % columns) * 280, y: Math.floor(i / columns) * 64 }]),
  )

test('a small system is seen whole, in the middle', () => {
  const at = grid(3, 3)
  const v = firstView(['n0'], at, screen)
  const f = seen(v, screen)
  expect(f.left).toBeLessThan(0)
  expect(f.right).toBeGreaterThan(2 * 280 + boxWidth)
  expect(v.k).toBeGreaterThanOrEqual(textZoom)
})

test('of a large system the first view shows what matters, and never too small to read', () => {
  const at = grid(20, 20)
  const v = firstView(['n399', 'n398'], at, screen)
  expect(v.k).toBeGreaterThanOrEqual(textZoom)
  const f = seen(v, screen)
  expect(f.right).toBeGreaterThanOrEqual(19 * 280 + boxWidth)
  expect(f.bottom).toBeGreaterThanOrEqual(19 * 64 + boxHeight)
  const many = firstView(Object.keys(at), at, screen)
  expect(many.k).toBe(textZoom)
  expect(seen(many, screen).left).toBeLessThanOrEqual(0)
})

test('a box is brought into view, large enough to read', () => {
  const at = grid(20, 20)
  const v = revealing({ x: 0, y: 0, k: 0.3 }, 'n399', at, screen, true)
  expect(v.k).toBe(textZoom)
  expect(seen(v, screen).right).toBeGreaterThanOrEqual(19 * 280 + boxWidth)
  const still = { x: 12, y: 12, k: 1 }
  expect(revealing(still, 'n0', at, screen)).toEqual(still)
})

test('what is in the middle stays there when boxes move', () => {
  const before = { a: { x: 500, y: 300 }, b: { x: 0, y: 0 } }
  const now = { a: { x: 700, y: 300 }, b: { x: 0, y: 0 } }
  expect(steady({ x: 0, y: 0, k: 1 }, screen, before, now)).toEqual({ x: -200, y: 0, k: 1 })
})

test('zoom keeps the point under the pointer', () => {
  const v = zoomed({ x: 10, y: 20, k: 1 }, 1.5, 100, 200)
  expect((100 - v.x) / v.k).toBeCloseTo(90)
  expect((200 - v.y) / v.k).toBeCloseTo(180)
})

test('arrow keys go to the nearest box in their direction', () => {
  const at = grid(3, 3)
  expect(nextBox('n4', 'ArrowRight', at)).toBe('n5')
  expect(nextBox('n4', 'ArrowLeft', at)).toBe('n3')
  expect(nextBox('n4', 'ArrowUp', at)).toBe('n1')
  expect(nextBox('n4', 'ArrowDown', at)).toBe('n7')
  expect(nextBox('n5', 'ArrowRight', at)).toBeUndefined()
  expect(nextBox('n5', 'a', at)).toBeUndefined()
})
