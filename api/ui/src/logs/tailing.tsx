import { Button } from '@mantine/core'
import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react'
import { pathWith } from '../api/client'
import { Section, Status } from '../components/bits'
import { count } from '../lib/format'
import type { Health } from '../lib/health'
import { keep, type Line, Tail, type TailState } from '../live/tail'
import { useLiveClient, useLiveStatus } from '../live/use-live'
import { type LineFilter, narrows, passes, queryOf } from './filter'
import { lineColumns } from './lines'

const last = 200
const rowHeight = 25

const stateWords: Record<TailState, string> = {
  connecting: 'connecting',
  live: 'following',
  lost: 'connection lost, reconnecting',
  refused: 'The server rejected the live tail; retrying',
}

/** A tail with these filters. Where they narrow those of before, the lines that pass stay. */
function useTail(filter: LineFilter): Tail {
  const before = useRef<{ filter: LineFilter; tail: Tail } | undefined>(undefined)
  const url = pathWith('/api/v1/logs/tail', { ...queryOf(filter), last })
  const tail = useMemo(() => {
    const b = before.current
    const kept = b !== undefined && narrows(b.filter, filter) ? b.tail.get().lines.filter((l) => passes(filter, l.line)) : []
    return new Tail(url, kept)
  }, [url, filter])
  useEffect(() => {
    before.current = { filter, tail }
  }, [filter, tail])
  return tail
}

/** New lines as they are committed, newest first. They are held while the page is paused, scrolled away, or while a line is open. */
export function Tailing({ filter, wrap }: { filter: LineFilter; wrap: boolean }) {
  const client = useLiveClient()
  const { paused } = useLiveStatus()
  const tail = useTail(filter)
  const { lines, state, dropped, held } = useSyncExternalStore(tail.subscribe, tail.get)
  const [away, setAway] = useState(false)
  const [reading, setReading] = useState(false)
  const [visit, setVisit] = useState(0)
  const box = useRef<HTMLDivElement>(null)
  const hold = paused || away || reading
  useEffect(() => tail.setPaused(hold), [tail, hold])
  const why = paused ? 'Paused' : away ? 'Scrolled away from the newest line' : 'Held while a line is open'
  const look = () => {
    setAway((box.current?.scrollTop ?? 0) > rowHeight)
    setReading(box.current?.querySelector('.disclosure[data-open]') != null)
  }
  const jump = () => {
    box.current?.scrollTo({ top: 0 })
    setAway(false)
    setReading(false)
    setVisit(visit + 1)
  }
  return (
    <Section
      title="Lines"
      note={
        <>
          {lines.length > 0 && `the newest ${lines.length}${lines.length === keep ? ', which is the limit' : ''}`}
          {dropped > 0 && `, ${count(dropped)} left out because they came too fast`}
        </>
      }
    >
      <p className={hold ? 'tail-state tail-held' : 'tail-state'} role="status">
        {hold ? (
          <>
            <Status health="pending" word={`${why}, ${held} new lines`} />
            {paused ? (
              <Button onClick={() => client.setPaused(false)}>Resume</Button>
            ) : (
              <Button onClick={jump}>Jump to the newest line</Button>
            )}
          </>
        ) : (
          <Status health={healthOf(state)} word={stateWords[state]} />
        )}
      </p>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the click comes from a line that was opened, by keys too */}
      <section
        ref={box}
        className={wrap ? 'lines lines-wrap tail-box' : 'lines tail-box'}
        aria-label="Newest lines"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys
        tabIndex={0}
        onScroll={look}
        onClick={() => setTimeout(look)}
      >
        <TailTable key={visit} lines={lines} box={box} />
      </section>
    </Section>
  )
}

const healthOf = (state: TailState): Health => (state === 'live' ? 'ok' : state === 'connecting' ? 'nodata' : 'pending')

function TailTable({ lines, box }: { lines: readonly Line[]; box: React.RefObject<HTMLDivElement | null> }) {
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => rowHeight,
    getItemKey: (i) => lines[i]?.key ?? i,
    overscan: 12,
    useFlushSync: false,
  })
  const items = virtual.getVirtualItems()
  const before = items[0]?.start ?? 0
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0)
  return (
    <table aria-label="Log lines" aria-rowcount={lines.length + 1}>
      <thead>
        <tr aria-rowindex={1}>
          {lineColumns.map((c) => (
            <th key={c.id} scope="col" className={classOf(c)}>
              {c.label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        <Gap height={before} />
        {items.map((v) => {
          const line = lines[v.index]
          return line && <TailRow key={line.key} line={line} index={v.index} measure={virtual.measureElement} />
        })}
        <Gap height={after} />
        {lines.length === 0 && (
          <tr className="empty">
            <td colSpan={lineColumns.length}>New lines appear here as they are committed.</td>
          </tr>
        )}
      </tbody>
    </table>
  )
}

const classOf = (c: { className?: string; wide?: boolean }) => [c.wide && 'wide', c.className].filter(Boolean).join(' ')

const TailRow = memo(function TailRow({ line, index, measure }: { line: Line; index: number; measure: (e: Element | null) => void }) {
  return (
    <tr ref={measure} data-index={index} data-row aria-rowindex={index + 2}>
      {lineColumns.map((c) => (
        <td key={c.id} className={classOf(c)}>
          {c.cell(line)}
        </td>
      ))}
    </tr>
  )
})

function Gap({ height }: { height: number }) {
  if (height <= 0) return null
  return (
    <tr className="tail-gap">
      <td colSpan={lineColumns.length} style={{ height }} />
    </tr>
  )
}
