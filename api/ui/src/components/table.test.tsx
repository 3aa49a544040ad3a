import { act, cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Column, Table } from './table'

interface Item {
  name: string
  n: number
}
const drawn = vi.fn()
const columns: Column<Item>[] = [
  { id: 'name', label: 'Name', sort: (r) => r.name, cell: (r) => r.name },
  {
    id: 'n',
    label: 'N',
    numeric: true,
    sort: (r) => r.n,
    cell: (r) => {
      drawn(r.name)
      return r.n
    },
  },
]
const key = (r: Item) => r.name
const order = () =>
  screen
    .getAllByRole('row')
    .slice(1)
    .map((r) => r.textContent)
const show = (rows: Item[]) => <Table label="T" rows={rows} columns={columns} rowKey={key} sort="name" empty="none" />

beforeEach(() => {
  vi.useFakeTimers()
  window.history.replaceState(null, '', '/')
  drawn.mockReset()
})
afterEach(() => {
  cleanup()
  vi.useRealTimers()
})

test('only rows that changed are drawn again', () => {
  const a = { name: 'a', n: 1 }
  const { rerender } = render(show([a, { name: 'b', n: 2 }]))
  drawn.mockReset()
  rerender(show([a, { name: 'b', n: 3 }]))
  expect(drawn.mock.calls).toEqual([['b']])
  expect(order()).toEqual(['a1', 'b3'])
})

test('numbers that move do not move rows at once, but after a while', () => {
  const { rerender } = render(
    show([
      { name: 'a', n: 1 },
      { name: 'b', n: 2 },
    ]),
  )
  act(() => {
    fireEvent.click(screen.getByRole('button', { name: 'N' }))
  })
  expect(window.location.search).toBe('?sort=-n')
  expect(order()).toEqual(['b2', 'a1'])
  rerender(
    show([
      { name: 'a', n: 9 },
      { name: 'b', n: 2 },
    ]),
  )
  expect(order()).toEqual(['b2', 'a9'])
  vi.advanceTimersByTime(6000)
  rerender(
    show([
      { name: 'a', n: 10 },
      { name: 'b', n: 2 },
    ]),
  )
  expect(order()).toEqual(['a10', 'b2'])
})

test('an empty table says why', () => {
  render(show([]))
  expect(order()).toEqual(['none'])
})

test('a long table is drawn in slices, and is then whole', () => {
  const many = Array.from({ length: 150 }, (_, n) => ({ name: `row ${String(n).padStart(3, '0')}`, n }))
  render(show(many))
  expect(order()).toHaveLength(60)
  for (let i = 0; i < 3; i++) act(() => void vi.runOnlyPendingTimers())
  expect(order()).toHaveLength(150)
})
