import '../components/table.css'
import './services.css'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { memo, type SyntheticEvent, useCallback, useLayoutEffect, useRef, useState, useSyncExternalStore } from 'react'
import type { ServiceColumn } from './columns'
import { type GroupRow, isGroup, type ServiceRow, sorts } from './rows'

const narrowScreen = window.matchMedia('(max-width: 860px)')

function onScreen(listener: () => void): () => void {
  narrowScreen.addEventListener('change', listener)
  return () => narrowScreen.removeEventListener('change', listener)
}

/** Rows have one height, which the style sheet knows too: on narrow screens there is a second line for the reason. */
function useRowHeight(): number {
  return useSyncExternalStore(onScreen, () => narrowScreen.matches) ? 52 : 34
}

interface Props {
  rows: readonly (ServiceRow | GroupRow)[]
  columns: readonly ServiceColumn[]
  sort: string
  onSort: (sort: string) => void
  group: string
  onOpen: (r: ServiceRow) => void
}

/** The services as a table of fixed layout, of which only the rows that can be seen are elements. */
export function ServicesTable({ rows, columns, sort, onSort, group, onOpen }: Props) {
  const body = useRef<HTMLTableSectionElement>(null)
  const [top, setTop] = useState(0)
  const height = useRowHeight()
  useLayoutEffect(() => {
    if (body.current) setTop(Math.round(body.current.getBoundingClientRect().top + window.scrollY))
  }, [])
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => height,
    overscan: 8,
    scrollMargin: top,
    useFlushSync: false,
  })
  const measured = useRef(height)
  if (measured.current !== height) {
    measured.current = height
    virtual.measure()
  }
  const items = virtual.getVirtualItems()
  const before = (items[0]?.start ?? top) - top
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? top) + top
  const tip = useTip()
  const by = sort.replace(/^-/, '')
  const choose = (c: ServiceColumn) => {
    if (c.id === by) onSort(sort.startsWith('-') ? c.id : `-${c.id}`)
    else onSort(c.numeric ? `-${c.id}` : c.id)
  }
  return (
    <div className="scroll services">
      <table aria-label="Services" aria-rowcount={rows.length + 1} {...tip.handlers}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((c) => (
              <th
                key={c.id}
                scope="col"
                className={c.className}
                aria-sort={c.id === by ? (sort.startsWith('-') ? 'descending' : 'ascending') : undefined}
                title={c.title}
              >
                {sorts[c.id] ? (
                  <button type="button" onClick={() => choose(c)}>
                    {c.label}
                    {c.unit && <span className="unit"> {c.unit}</span>}
                    <span className="arrow" aria-hidden="true">
                      {c.id === by ? (sort.startsWith('-') ? '▾' : '▴') : ''}
                    </span>
                  </button>
                ) : (
                  c.label
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          <Gap height={before} columns={columns.length} />
          {/* An element is a place: a new order changes what the rows show and moves none. */}
          {items.map((v) => {
            const r = rows[v.index]
            if (r === undefined) return null
            return isGroup(r) ? (
              <tr key={v.index} className="s-group" aria-rowindex={v.index + 2}>
                <th scope="rowgroup" colSpan={columns.length}>
                  <bdi>{r.group || 'without a value'}</bdi>{' '}
                  <span className="dim">
                    {r.services === 1 ? '1 service' : `${r.services} services`}
                    {r.unhealthy > 0 && `, ${r.unhealthy} unhealthy`}
                  </span>
                </th>
              </tr>
            ) : (
              <Row key={v.index} row={r} index={v.index} columns={columns} group={group} onOpen={onOpen} />
            )
          })}
          <Gap height={after} columns={columns.length} />
        </tbody>
      </table>
      {tip.element}
    </div>
  )
}

function Gap({ height, columns }: { height: number; columns: number }) {
  if (height <= 0) return null
  return (
    <tr className="s-gap">
      <td colSpan={columns} style={{ height }} />
    </tr>
  )
}

interface RowProps {
  row: ServiceRow
  index: number
  columns: readonly ServiceColumn[]
  group: string
  onOpen: (r: ServiceRow) => void
}

const Row = memo(function Row({ row, index, columns, group, onOpen }: RowProps) {
  return (
    // The row's link does the same for keyboards and screen readers.
    <tr
      className="open"
      data-row
      aria-rowindex={index + 2}
      onClick={(e) => {
        if ((e.target as Element).closest('a, button') || window.getSelection()?.toString()) return
        onOpen(row)
      }}
    >
      {columns.map((c) => (
        <td key={c.id} className={c.className} data-tip={c.tip?.(row)}>
          {c.cell(row, group)}
        </td>
      ))}
    </tr>
  )
})

interface Tip {
  text: string
  left: number
  top: number
}

/** One tip for all cells, beside the table: of the cell under the pointer, or of the row's health while its link has the focus. */
function useTip() {
  const [tip, setTip] = useState<Tip | undefined>()
  const show = useCallback((cell: HTMLElement | null | undefined) => {
    const text = cell?.dataset.tip
    if (!cell || !text) return setTip(undefined)
    const at = cell.getBoundingClientRect()
    setTip({ text, left: Math.max(8, Math.min(at.left + 8, window.innerWidth - 360)), top: at.bottom })
  }, [])
  const hide = useCallback(() => setTip(undefined), [])
  return {
    handlers: {
      onMouseOver: (e: SyntheticEvent) => show((e.target as Element).closest<HTMLElement>('td[data-tip]')),
      onMouseLeave: hide,
      onFocus: (e: SyntheticEvent) => show((e.target as Element).closest('tr')?.querySelector<HTMLElement>('td[data-tip]')),
      onBlur: hide,
    },
    element: tip && (
      <div className="s-tip" role="tooltip" style={{ left: tip.left, top: tip.top }}>
        {tip.text}
      </div>
    ),
  }
}
