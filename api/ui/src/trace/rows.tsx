// biome-ignore-all lint/a11y/useSemanticElements: rows that stand where they are put cannot be those of a table
// biome-ignore-all lint/a11y/useFocusableInteractive: the grid has the focus and names the active row; cells need none
import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, type RefObject, useEffect, useMemo, useRef } from 'react'
import { millis, took } from '../lib/format'
import { barOf, type LogTimes, laneUnits, pathOf, ticksOf, type Window } from './bars'
import { barColor, type Coloring } from './colors'
import type { SpanNode } from './tree'

export const rowHeight = 28
const overscan = 10
const deepest = 16

export interface RowData {
  rows: readonly SpanNode[]
  isFolded: (n: SpanNode) => boolean
  isMatch: (n: SpanNode) => boolean
  cursor: SpanNode | undefined
  opened: SpanNode | undefined
  window: Window
  coloring: Coloring
  self: (n: SpanNode) => number | undefined
  sections: ((index: number) => [number, number][]) | undefined
  /** When the log lines of spans were written, by span id. */
  logs: ReadonlyMap<string, LogTimes>
  onToggle: (n: SpanNode) => void
  onOpen: (n: SpanNode) => void
}

/** Moves the rows so that one can be seen: in the middle if it was not to be seen. */
export type Show = (row: number, align: 'center' | 'auto') => void

const unitOf = (w: Window): { divide: number; name: string } =>
  w.to - w.from >= 10_000_000 ? { divide: 1e6, name: 's' } : { divide: 1e3, name: 'ms' }

/** The spans as rows, of which only those that can be seen are elements. */
export function Rows({ data, show }: { data: RowData; show: RefObject<Show | null> }) {
  const box = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({
    count: data.rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => rowHeight,
    overscan,
    scrollPaddingEnd: rowHeight,
    scrollPaddingStart: rowHeight + 4, // below the head, which stays
    useFlushSync: false,
  })
  useEffect(() => {
    show.current = (row, align) => virtual.scrollToIndex(row, { align })
    return () => {
      show.current = null
    }
  }, [show, virtual])
  const { window: w } = data
  const unit = unitOf(w)
  const ticks = useMemo(() => ticksOf(w, 5).filter((t) => t < w.from + (w.to - w.from) * 0.92 || w.to <= w.from), [w])
  const place = (t: number) => `${w.to > w.from ? (100 * (t - w.from)) / (w.to - w.from) : 0}%`
  const active = data.cursor === undefined ? undefined : rowId(data.cursor)
  const items = virtual.getVirtualItems()
  const drawn = active !== undefined && items.some((v) => data.rows[v.index] === data.cursor)
  return (
    <div
      ref={box}
      className="tv-rows"
      role="treegrid"
      aria-label="Spans"
      aria-rowcount={data.rows.length + 1}
      aria-activedescendant={drawn ? active : undefined}
      tabIndex={0}
      data-spans
    >
      <div role="rowgroup" className="tv-head">
        <div role="row" aria-rowindex={1} className="tv-row">
          <span role="columnheader">Service and operation</span>
          <span role="columnheader" className="tv-axis">
            <span className="hidden">Timeline</span>
            {ticks.map((t) => (
              <span key={t} aria-hidden="true" style={{ left: place(t) }}>
                {took(t / 1000).replace(/^0 ms$/, '0')}
              </span>
            ))}
          </span>
          <span role="columnheader" className="tv-num tv-wide" title="Time in which no child of the span ran">
            Self <small>ms</small>
          </span>
          <span role="columnheader" className="tv-num">
            Total <small>ms</small>
          </span>
          <span role="columnheader" className="tv-num tv-wide" title="Share of all calls of this operation that were faster">
            Rank
          </span>
        </div>
      </div>
      <div role="rowgroup" className="tv-body" style={{ height: virtual.getTotalSize() }} data-unit={unit.name}>
        {items.map((v) => {
          const n = data.rows[v.index] as SpanNode
          return (
            <SpanRow
              key={n.index}
              node={n}
              row={v.index}
              folded={data.isFolded(n)}
              match={data.isMatch(n)}
              active={n === data.cursor}
              opened={n === data.opened}
              window={w}
              coloring={data.coloring}
              self={data.self(n)}
              sections={data.sections}
              logs={data.logs.get(n.span.spanID)}
              onToggle={data.onToggle}
              onOpen={data.onOpen}
            />
          )
        })}
      </div>
    </div>
  )
}

const rowId = (n: SpanNode) => `span-row-${n.index}`

interface RowProps {
  node: SpanNode
  row: number
  folded: boolean
  match: boolean
  active: boolean
  opened: boolean
  window: Window
  coloring: Coloring
  self: number | undefined
  sections: RowData['sections']
  logs: LogTimes | undefined
  onToggle: (n: SpanNode) => void
  onOpen: (n: SpanNode) => void
}

const SpanRow = memo(function SpanRow(p: RowProps) {
  const { node: n, coloring } = p
  const rank = coloring.rank(n)
  const names = ['tv-row', n.origin && 'tv-origin', p.match && 'tv-match', p.active && 'tv-active', p.opened && 'tv-opened']
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid's keys move to rows and open them
    <div
      role="row"
      id={rowId(n)}
      data-row
      className={names.filter(Boolean).join(' ')}
      style={{ transform: `translateY(${p.row * rowHeight}px)` }}
      aria-rowindex={p.row + 2}
      aria-level={n.depth + 1}
      aria-expanded={n.below > 0 ? !p.folded : undefined}
      aria-selected={p.opened}
      onClick={(e) => {
        if ((e.target as Element).closest('[data-fold]')) p.onToggle(n)
        else if (!window.getSelection()?.toString()) p.onOpen(n)
      }}
    >
      <span role="gridcell" className="tv-name" style={{ paddingLeft: `calc(8px + ${Math.min(n.depth, deepest)} * var(--tv-indent))` }}>
        <span className="tv-guides" aria-hidden="true" style={{ width: `calc(${Math.min(n.depth, deepest)} * var(--tv-indent))` }} />
        {n.below > 0 ? (
          <span className="tv-fold" data-fold title={p.folded ? `Show ${n.below} spans below` : `Hide ${n.below} spans below`}>
            <svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
              <path d={p.folded ? 'M3 1.5 7 5 3 8.5z' : 'M1.5 3h7L5 7.5z'} />
            </svg>
          </span>
        ) : (
          <span className="tv-fold" />
        )}
        <span className="tv-swatch" aria-hidden="true" style={{ background: coloring.services.get(n.service) }} />
        <span className="tv-text" title={`${n.service} ${n.span.operationName}`}>
          <bdi className="tv-service">{n.service}</bdi> <bdi className="tv-operation">{n.span.operationName}</bdi>
        </span>
        {p.folded && <span className="tv-below">+{n.below}</span>}
        {n.origin ? (
          <span className="tv-failed-here">
            <svg viewBox="0 0 8 8" width="8" height="8" aria-hidden="true">
              <circle cx="4" cy="4" r="4" />
            </svg>
            failed here
          </span>
        ) : (
          n.failed && (
            <svg
              className="tv-failed-below"
              viewBox="0 0 10 10"
              width="10"
              height="10"
              role="img"
              aria-label="failed, because of a span below"
            >
              <circle cx="5" cy="5" r="3.5" />
            </svg>
          )
        )}
      </span>
      <span role="gridcell" className="tv-lane">
        <Lane {...p} />
      </span>
      <span role="gridcell" className="tv-num tv-wide">
        {p.self === undefined ? '' : millis(p.self / 1000)}
      </span>
      <span role="gridcell" className="tv-num">
        {millis(n.span.duration / 1000)}
      </span>
      <span role="gridcell" className="tv-num tv-wide dim">
        {rank === undefined ? '' : rankText(rank)}
      </span>
    </div>
  )
})

/** p83: slower than 83 % of the calls of its operation. */
export const rankText = (rank: number): string =>
  `p${rank >= 0.999 ? '99.9' : rank > 0.99 ? (rank * 100).toFixed(1) : Math.floor(rank * 100)}`

function Lane({ node: n, window: w, coloring, sections, logs }: RowProps) {
  const bar = barOf(n, w)
  if (bar === undefined) {
    return <span className={n.offset > w.to ? 'tv-away tv-away-right' : 'tv-away'}>{n.offset > w.to ? '›' : '‹'}</span>
  }
  const path = sections === undefined ? '' : pathOf(sections(n.index), w)
  const events = n.span.logs.length === 0 ? '' : pathOf(eventsOf(n), w)
  const lines = logs === undefined ? '' : pathOf(logs.all, w)
  const bad = logs === undefined ? '' : pathOf(logs.bad, w)
  const failed = n.failed && !n.origin
  return (
    <>
      <span
        className={failed ? 'tv-bar tv-bar-failed' : 'tv-bar'}
        style={{ left: `${bar.left}%`, width: `${bar.width}%`, background: barColor(n, coloring) }}
      />
      {(path !== '' || events !== '' || lines !== '') && (
        <svg className="tv-marks" viewBox={`0 0 ${laneUnits} 2`} preserveAspectRatio="none" aria-hidden="true">
          {path !== '' && <path className="tv-critical" d={path} />}
          {events !== '' && <path className="tv-events" d={events} />}
          {lines !== '' && <path className="tv-log-ticks" d={lines} />}
          {bad !== '' && <path className="tv-log-ticks tv-log-bad" d={bad} />}
        </svg>
      )}
    </>
  )
}

function eventsOf(n: SpanNode): [number, number][] {
  return n.span.logs
    .map((l): [number, number] => [l.timestamp - n.span.startTime + n.offset, l.timestamp - n.span.startTime + n.offset])
    .sort((a, b) => a[0] - b[0])
}
