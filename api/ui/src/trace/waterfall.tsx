import { type RefObject, useCallback, useDeferredValue, useEffect, useMemo, useRef, useState } from 'react'
import type { LogLine, Trace } from '../api/types'
import { took } from '../lib/format'
import { useParam } from '../lib/url'
import type { Analysis } from './analysis'
import { logTimes, sectionsOf, type Window } from './bars'
import { type ColorBy, type Coloring, colorings, rankSteps } from './colors'
import { findSpans } from './finding'
import { foldedAll, foldedAtFirst, rowOf, stepTo, unfoldedTo, visible } from './folding'
import { Minimap } from './minimap'
import { type RowData, Rows, type Show } from './rows'
import type { SpanNode, SpanTree } from './tree'

interface Props {
  tree: SpanTree
  trace: Trace
  analysis: Analysis | undefined
  services: ReadonlyMap<string, string>
  rank: (n: SpanNode) => number | undefined
  opened: SpanNode | undefined
  onOpen: (n: SpanNode | undefined) => void
  /** Takes the place of the panel's keys: opens a span's ancestors and scrolls to it. */
  reveal: RefObject<((n: SpanNode) => void) | null>
  /** Log lines of the trace, as far as they were read. */
  lines: readonly LogLine[]
}

export function Waterfall({ tree, trace, analysis, services, rank, opened, onOpen, reveal, lines }: Props) {
  const [folded, setFolded] = useState(() => {
    const first = foldedAtFirst(tree.nodes)
    return opened === undefined ? first : unfoldedTo(first, opened)
  })
  const [cursor, setCursor] = useState(opened)
  const [criticalOn, setCriticalOn] = useState(true)
  const [by, setBy] = useParam('color', 'service')
  const [w, setWindow] = useZoom(tree.duration)
  const find = useFind(tree, trace)
  const errors = useMemo(() => tree.nodes.filter((n) => n.origin).map((n) => n.index), [tree])
  const rows = useMemo(() => visible(tree.nodes, folded), [tree, folded])
  const coloring = useMemo((): Coloring => ({ by: colorBy(by), services, rank }), [by, services, rank])
  const show = useRef<Show | null>(null)
  const goal = useRef<{ node: SpanNode; align: 'center' | 'auto' } | null>(opened === undefined ? null : { node: opened, align: 'center' })

  // Rows that were opened on the way to a span exist only after they were drawn, so scrolling waits for them.
  useEffect(() => {
    if (goal.current === null) return
    show.current?.(rowOf(rows, goal.current.node), goal.current.align)
    goal.current = null
  })
  const go = useCallback((n: SpanNode, align: 'center' | 'auto' = 'center') => {
    setFolded((old) => unfoldedTo(old, n))
    setCursor(n)
    goal.current = { node: n, align }
  }, [])
  useEffect(() => {
    reveal.current = go
    return () => {
      reveal.current = null
    }
  }, [reveal, go])
  const toggle = useCallback((n: SpanNode) => {
    setFolded((old) => {
      const next = new Set(old)
      if (!next.delete(n)) next.add(n)
      return next
    })
    setCursor(n)
  }, [])
  const open = useCallback(
    (n: SpanNode) => {
      setCursor(n)
      onOpen(n)
    },
    [onOpen],
  )
  const jump = (matches: readonly number[], step: 1 | -1) => {
    const next = stepTo(matches, cursor?.index ?? -1, step)
    if (next === undefined) return
    const n = tree.nodes[next] as SpanNode
    go(n)
    if (opened !== undefined) onOpen(n)
  }
  const move = (step: number) => {
    const at = cursor === undefined ? (step > 0 ? -1 : rows.length) : rowOf(rows, cursor)
    const n = rows[Math.min(rows.length - 1, Math.max(0, at + step))]
    if (n === undefined) return
    go(n, 'auto')
    if (opened !== undefined) onOpen(n)
  }
  const onKey = (e: KeyboardEvent): boolean => {
    const inGrid = (e.target as HTMLElement).closest('[data-spans]') !== null
    switch (e.key) {
      case 'j':
        move(1)
        return true
      case 'k':
        move(-1)
        return true
      case 'n':
        jump(find.matches, 1)
        return find.matches.length > 0
      case 'N':
        jump(find.matches, -1)
        return find.matches.length > 0
      case ']':
        jump(errors, 1)
        return true
      case '[':
        jump(errors, -1)
        return true
      case 'Escape':
        if (opened === undefined) return false
        onOpen(undefined)
        return true
      case 'Enter':
        if (cursor === undefined || !(inGrid || e.target === document.body)) return false
        onOpen(cursor)
        return true
    }
    if (!inGrid) return false
    const page = 20
    switch (e.key) {
      case 'ArrowDown':
        move(1)
        return true
      case 'ArrowUp':
        move(-1)
        return true
      case 'PageDown':
        move(page)
        return true
      case 'PageUp':
        move(-page)
        return true
      case 'Home':
        move(-rows.length)
        return true
      case 'End':
        move(rows.length)
        return true
      case 'ArrowRight':
        if (cursor === undefined || cursor.below === 0) return true
        if (folded.has(cursor)) toggle(cursor)
        else move(1)
        return true
      case 'ArrowLeft':
        if (cursor === undefined) return true
        if (cursor.below > 0 && !folded.has(cursor)) toggle(cursor)
        else if (cursor.parent !== undefined) go(cursor.parent, 'auto')
        return true
    }
    return false
  }
  useTraceKeys(onKey)
  const data: RowData = {
    rows,
    isFolded: (n) => folded.has(n),
    isMatch: (n) => find.has(n.index),
    cursor,
    opened,
    window: w,
    coloring,
    self: (n) => analysis?.self[n.index],
    logs: useMemo(() => logTimes(lines, tree.start), [lines, tree.start]),
    sections: useMemo(() => (analysis !== undefined && criticalOn ? sectionsOf(analysis) : undefined), [analysis, criticalOn]),
    onToggle: toggle,
    onOpen: open,
  }
  const matched = find.matches.indexOf(cursor?.index ?? -1)
  return (
    <>
      <div className="tv-tools">
        <input
          type="search"
          className="tv-find"
          data-filter
          placeholder="Find in trace"
          aria-label="Find in trace: service, operation, key=value"
          value={find.text}
          onChange={(e) => find.setText(e.currentTarget.value)}
          onKeyDown={(e) => {
            if (e.key === 'Enter') jump(find.of(e.currentTarget.value), e.shiftKey ? -1 : 1)
          }}
        />
        <span className="tv-count" role="status">
          {find.text.trim() !== '' &&
            (find.matches.length === 0 ? 'none' : `${matched < 0 ? '' : `${matched + 1} of `}${find.matches.length}`)}
        </span>
        <Steps
          label="match"
          keys={['N', 'n']}
          disabled={find.matches.length === 0}
          onStep={(s) => jump(find.matches, s)}
          hidden={find.text.trim() === ''}
        />
        <span className="tv-tool">
          Errors <b>{errors.length}</b>
        </span>
        <Steps label="error" keys={['[', ']']} disabled={errors.length === 0} onStep={(s) => jump(errors, s)} />
        <button type="button" className="tv-btn" aria-pressed={criticalOn} onClick={() => setCriticalOn(!criticalOn)}>
          Critical path
        </button>
        <label className="tv-tool">
          Colour{' '}
          <select value={coloring.by} onChange={(e) => setBy(e.currentTarget.value)}>
            {colorings.map((c) => (
              <option key={c} value={c}>
                {c}
              </option>
            ))}
          </select>
        </label>
        {tree.nodes.length > 1 && (
          <button type="button" className="tv-btn" onClick={() => setFolded(folded.size > 0 ? new Set() : foldedAll(tree.nodes))}>
            {folded.size > 0 ? 'Unfold all' : 'Fold all'}
          </button>
        )}
      </div>
      {coloring.by === 'rank' && (
        <ul className="tv-legend" aria-label="Colours by rank">
          {rankSteps.map((s) => (
            <li key={s.word}>
              <span className="tv-swatch" style={{ background: s.color }} /> {s.word}
            </li>
          ))}
        </ul>
      )}
      <Minimap tree={tree} coloring={coloring} window={w} onWindow={setWindow} />
      <Rows data={data} show={show} />
      <p className="tv-hint dim">
        {rows.length < tree.nodes.length &&
          `${rows.length.toLocaleString('en')} of ${tree.nodes.length.toLocaleString('en')} spans unfolded · `}
        {w.to - w.from < tree.duration && `${took(w.from / 1000)} to ${took(w.to / 1000)} shown · `}
        <kbd>j</kbd> <kbd>k</kbd> move, <kbd>←</kbd> <kbd>→</kbd> fold, <kbd>Enter</kbd> opens, <kbd>n</kbd> <kbd>N</kbd> matches,{' '}
        <kbd>[</kbd> <kbd>]</kbd> errors
      </p>
    </>
  )
}

const colorBy = (s: string): ColorBy => colorings.find((c) => c === s) ?? 'service'

function Steps({
  label,
  keys,
  disabled,
  hidden = false,
  onStep,
}: {
  label: string
  keys: [string, string]
  disabled: boolean
  hidden?: boolean
  onStep: (s: 1 | -1) => void
}) {
  if (hidden) return null
  return (
    <span className="tv-steps">
      <button
        type="button"
        className="tv-btn"
        disabled={disabled}
        title={keys[0]}
        aria-label={`Previous ${label}`}
        onClick={() => onStep(-1)}
      >
        ‹
      </button>
      <button type="button" className="tv-btn" disabled={disabled} title={keys[1]} aria-label={`Next ${label}`} onClick={() => onStep(1)}>
        ›
      </button>
    </span>
  )
}

/** The keys of the trace come before those of the page, which move the focus along rows that are all there. */
function useTraceKeys(onKey: (e: KeyboardEvent) => boolean): void {
  const latest = useRef(onKey)
  useEffect(() => {
    latest.current = onKey
  })
  useEffect(() => {
    const listen = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return
      if ((e.target as HTMLElement).closest('input, textarea, select, [contenteditable], [role=dialog]')) return
      if (latest.current(e)) e.preventDefault()
    }
    document.addEventListener('keydown', listen)
    return () => document.removeEventListener('keydown', listen)
  }, [])
}

/** The part of the trace that is shown, in the URL as `from-to` in microseconds. */
function useZoom(duration: number): [Window, (w: Window) => void] {
  const [text, setText] = useParam('zoom')
  const w = useMemo((): Window => {
    const m = /^(\d+)-(\d+)$/.exec(text)
    const from = Number(m?.[1] ?? 0)
    const to = Math.min(duration, Number(m?.[2] ?? duration))
    return m !== null && from < to ? { from, to } : { from: 0, to: duration }
  }, [text, duration])
  const set = useCallback(
    (next: Window) =>
      setText(
        next.from <= 0 && next.to >= duration ? '' : `${Math.floor(Math.max(0, next.from))}-${Math.ceil(Math.min(duration, next.to))}`,
      ),
    [setText, duration],
  )
  return [w, set]
}

interface Find {
  text: string
  setText: (text: string) => void
  /** Lags behind the text while a large trace is searched. */
  matches: readonly number[]
  has: (index: number) => boolean
  /** The matches of a text, at once. */
  of: (text: string) => readonly number[]
}

function useFind(tree: SpanTree, trace: Trace): Find {
  const [text, setText] = useState('')
  const wanted = useDeferredValue(text)
  const of = useCallback((text: string) => findSpans(tree, trace.processes, text), [tree, trace])
  const matches = useMemo(() => of(wanted), [of, wanted])
  const set = useMemo(() => new Set(matches), [matches])
  return { text, setText, matches, has: (i) => set.has(i), of }
}
