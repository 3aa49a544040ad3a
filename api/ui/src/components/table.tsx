import './table.css'
import { memo, type ReactNode, useEffect, useMemo, useRef, useState } from 'react'
import { useParam } from '../lib/url'

/** Plain elements only: a component library's wrappers cost ten times as much in rows that change four times a second. */
export interface Column<T> {
  id: string
  label: string
  unit?: string
  title?: string
  numeric?: boolean
  /** Left out on narrow screens. */
  wide?: boolean
  className?: string
  sort?: (row: T) => number | string
  cell: (row: T) => ReactNode
}

interface Props<T> {
  label: string
  rows: readonly T[]
  columns: readonly Column<T>[]
  rowKey: (row: T) => string
  /** Column that sorts at first; a leading minus is descending. Empty leaves rows as they come. */
  sort: string
  /** Name of the URL's parameter that holds the sort. */
  param?: string
  onOpen?: (row: T) => void
  empty: ReactNode
  marked?: (row: T) => boolean
}

const pageSize = 500
const slice = 60
const reorderEvery = 5_000

/** A table that sorts by any column. Live numbers reorder rows every few seconds at most, so that a row can be read and clicked. */
export function Table<T>({ label, rows, columns, rowKey, sort: initial, param = 'sort', onOpen, empty, marked }: Props<T>) {
  const [sort, setSort] = useParam(param, initial)
  const descending = sort.startsWith('-')
  const column = columns.find((c) => c.id === sort.replace(/^-/, '') && c.sort) ?? columns.find((c) => c.id === initial.replace(/^-/, ''))
  const [limit, setLimit] = useState(pageSize)
  const drawn = useDrawn(Math.min(rows.length, limit))
  const ordered = useOrder(rows, rowKey, column?.sort, descending, column?.numeric ?? false)
  const choose = (c: Column<T>) => {
    if (c.id === column?.id) setSort(descending ? c.id : `-${c.id}`)
    else setSort(c.numeric ? `-${c.id}` : c.id)
  }
  return (
    <div className="scroll">
      <table aria-label={label}>
        <thead>
          <tr>
            {columns.map((c) => (
              <th
                key={c.id}
                scope="col"
                className={cellClass(c)}
                aria-sort={c.id === column?.id ? (descending ? 'descending' : 'ascending') : undefined}
                title={c.title}
              >
                {c.sort ? (
                  <button type="button" onClick={() => choose(c)}>
                    {c.label}
                    {c.unit && <span className="unit"> {c.unit}</span>}
                    <span className="arrow" aria-hidden="true">
                      {c.id === column?.id ? (descending ? '▾' : '▴') : ''}
                    </span>
                  </button>
                ) : (
                  <span className="head">
                    {c.label}
                    {c.unit && <span className="unit"> {c.unit}</span>}
                  </span>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ordered.slice(0, drawn).map((row) => (
            <Row key={rowKey(row)} row={row} columns={columns} onOpen={onOpen} marked={marked?.(row) ?? false} />
          ))}
          {ordered.length === 0 && (
            <tr className="empty">
              <td colSpan={columns.length}>{empty}</td>
            </tr>
          )}
        </tbody>
      </table>
      {ordered.length > limit && (
        <button type="button" className="more" onClick={() => setLimit(limit + pageSize)}>
          {ordered.length - limit} more
        </button>
      )}
    </div>
  )
}

/** How many of so many rows are drawn: all of a short table, a long one in slices, between which the browser does what else there is to do. */
function useDrawn(count: number): number {
  const [drawn, setDrawn] = useState(slice)
  useEffect(() => {
    if (drawn >= count) return
    const t = setTimeout(() => setDrawn(drawn + slice), 0)
    return () => clearTimeout(t)
  }, [drawn, count])
  return Math.min(drawn, count)
}

function cellClass<T>(c: Column<T>): string | undefined {
  const names = [c.numeric && 'num', c.wide && 'wide', c.className].filter(Boolean)
  return names.length > 0 ? names.join(' ') : undefined
}

interface RowProps<T> {
  row: T
  columns: readonly Column<T>[]
  onOpen: ((row: T) => void) | undefined
  marked: boolean
}

function RowOf<T>({ row, columns, onOpen, marked }: RowProps<T>) {
  return (
    // The row's link does the same for keyboards and screen readers.
    <tr
      className={`${onOpen ? 'open' : ''}${marked ? ' marked' : ''}` || undefined}
      data-row
      onClick={
        onOpen &&
        ((e) => {
          if ((e.target as Element).closest('a, button, input, label') || window.getSelection()?.toString()) return
          onOpen(row)
        })
      }
    >
      {columns.map((c) => (
        <td key={c.id} className={cellClass(c)}>
          {c.cell(row)}
        </td>
      ))}
    </tr>
  )
}
const Row = memo(RowOf) as typeof RowOf

function compare(a: number | string, b: number | string): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0
}

function useOrder<T>(
  rows: readonly T[],
  rowKey: (row: T) => string,
  value: ((row: T) => number | string) | undefined,
  descending: boolean,
  restless: boolean,
): readonly T[] {
  const kept = useRef<{ keys: Map<string, number>; at: number; by: unknown; descending: boolean } | null>(null)
  const ordered = useMemo(() => {
    if (value === undefined) return rows
    const now = Date.now()
    const k = kept.current
    const same = k !== null && k.by === value && k.descending === descending && k.keys.size === rows.length
    if (restless && same && now - k.at < reorderEvery && rows.every((r) => k.keys.has(rowKey(r)))) {
      return [...rows].sort((a, b) => (k.keys.get(rowKey(a)) ?? 0) - (k.keys.get(rowKey(b)) ?? 0))
    }
    const list = [...rows].sort((a, b) => {
      const d = compare(value(a), value(b))
      return (descending ? -d : d) || compare(rowKey(a), rowKey(b))
    })
    kept.current = { keys: new Map(list.map((r, i) => [rowKey(r), i])), at: now, by: value, descending }
    return list
  }, [rows, rowKey, value, descending, restless])
  return ordered
}
