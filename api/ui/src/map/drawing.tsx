import { ActionIcon } from '@mantine/core'
import { Maximize, Minus, Plus } from 'lucide-react'
import { type KeyboardEvent, memo, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { Box } from './box'
import type { BoxState, LineState } from './boxes'
import { labelWidth, type PlacedLabel, placeLabels, type WantedLabel } from './labels'
import { boxHeight, boxWidth, type Gap, pathOf } from './layout'
import { Ends, Line } from './line'
import { type DrawnLine, lineID, type Scope } from './scope'
import { type Layout, useLayout } from './use-layout'
import { type PlaneView, useView } from './use-view'
import { type Frame, firstView, nextBox, revealing, steady, zoomed } from './view'

interface Props {
  scope: Scope
  boxes: ReadonlyMap<string, BoxState>
  lines: ReadonlyMap<string, LineState>
  /** The boxes that the first view shows, the one that matters most first. */
  first: readonly string[]
  /** When it changes the view begins anew. */
  viewKey: string
  selected: string | undefined
  onChoose: (id: string) => void
}

/** The map as a drawing. It is laid out again only when boxes or lines come or go; numbers change texts and colours alone. */
export default memo(function Drawing({ scope, boxes, lines, first, viewKey, selected, onChoose }: Props) {
  const { layout, current } = useLayout(scope)
  const { view, frame, bare } = useView()
  const [over, setOver] = useState<string | null>(null)
  const [overLine, setOverLine] = useState<string | null>(null)
  useFirstView(view, layout, first, viewKey, current)
  useSelected(view, layout, selected)
  const focus = useFocus(view, layout)
  const looked = over ?? selected ?? null
  const near = useMemo(() => nearOf(scope.lines, over, overLine), [scope.lines, over, overLine])
  const ways = useMemo(() => waysOf(layout), [layout])
  const labels = useMemo(
    () => placeLabels(wantedLabels(scope.lines, lines, ways, looked, overLine)),
    [scope.lines, lines, ways, looked, overLine],
  )
  const drawn = layout && drawnIn(frame, scope, layout, [over, selected])
  return (
    <section
      ref={view.host}
      className={`drawing${bare ? ' map-bare' : ''}`}
      aria-label="Drawing of the service map; the table below holds the same edges"
      onKeyDown={focus.onKeyDown}
      onFocus={focus.onFocus}
    >
      <div className="map-plane" ref={view.plane}>
        {layout && drawn && (
          <>
            <svg className="map-lines" aria-hidden="true" width="1" height="1">
              <Ends />
              {drawn.lines.map((l) => (
                <Line
                  key={l.id}
                  id={l.id}
                  d={pathOf(ways.get(l.id) ?? [], layout.at[l.from] ?? { x: 0, y: 0 })}
                  state={lines.get(l.id)}
                  near={near?.lines.has(l.id) ?? false}
                  dimmed={near !== null && !near.lines.has(l.id)}
                  onOver={setOverLine}
                />
              ))}
            </svg>
            {drawn.nodes.map((n) => (
              <Box
                key={n.id}
                id={n.id}
                name={n.name}
                type={n.type}
                state={boxes.get(n.id)}
                x={layout.at[n.id]?.x ?? 0}
                y={layout.at[n.id]?.y ?? 0}
                selected={n.id === selected}
                beside={near?.boxes.has(n.id) ?? false}
                onChoose={onChoose}
                onOver={setOver}
              />
            ))}
            <Labels placed={labels} lines={lines} />
          </>
        )}
      </div>
      <Controls view={view} fit={() => layout && view.set(firstView(first, layout.at, view.size()))} />
    </section>
  )
})

function Labels({ placed, lines }: { placed: readonly PlacedLabel[]; lines: ReadonlyMap<string, LineState> }) {
  return placed.map((l) => (
    <span
      key={l.id}
      className={lines.get(l.id)?.bad || lines.get(l.id)?.worse ? 'map-label bad' : 'map-label'}
      style={{ left: l.x, top: l.y, width: labelWidth(l.text) }}
    >
      {l.text}
    </span>
  ))
}

function Controls({ view, fit }: { view: PlaneView; fit: () => void }) {
  const zoom = (by: number) => {
    const s = view.size()
    view.set(zoomed(view.get(), by, s.width / 2, s.height / 2))
  }
  return (
    <div className="map-controls">
      <ActionIcon variant="default" size={28} aria-label="Zoom in" onClick={() => zoom(1.4)}>
        <Plus size={14} aria-hidden="true" />
      </ActionIcon>
      <ActionIcon variant="default" size={28} aria-label="Zoom out" onClick={() => zoom(1 / 1.4)}>
        <Minus size={14} aria-hidden="true" />
      </ActionIcon>
      <ActionIcon variant="default" size={28} aria-label="Back to the first view" onClick={fit}>
        <Maximize size={14} aria-hidden="true" />
      </ActionIcon>
    </div>
  )
}

/** Begins with the first view; when the layout changes under it, what is in the middle stays there. */
function useFirstView(view: PlaneView, layout: Layout | undefined, first: readonly string[], viewKey: string, current: boolean): void {
  const shown = useRef<{ viewKey: string; layout: Layout } | undefined>(undefined)
  useLayoutEffect(() => {
    const before = shown.current
    if (layout === undefined || !current || (layout === before?.layout && viewKey === before.viewKey)) return
    if (before?.viewKey === viewKey) view.set(steady(view.get(), view.size(), before.layout.at, layout.at))
    else view.set(firstView(first, layout.at, view.size()))
    shown.current = { viewKey, layout }
  }, [view, layout, first, viewKey, current])
}

/** What is chosen is brought into view. */
function useSelected(view: PlaneView, layout: Layout | undefined, selected: string | undefined): void {
  const done = useRef<string | undefined>(undefined)
  useEffect(() => {
    if (selected === undefined) done.current = undefined
    if (selected === undefined || layout?.at[selected] === undefined || done.current === selected) return
    done.current = selected
    view.set(revealing(view.get(), selected, layout.at, view.size(), true))
  }, [view, layout, selected])
}

const boxAt = (target: EventTarget) => (target as Element).closest<HTMLElement>('[data-box]')?.dataset.box

/** Arrow keys go from box to box; the one with the focus is in view. */
function useFocus(view: PlaneView, layout: Layout | undefined) {
  const onFocus = useCallback(
    (e: { target: EventTarget }) => {
      const id = boxAt(e.target)
      if (id === undefined || !layout || !(e.target as Element).matches(':focus-visible')) return // a press must not move what it is on
      view.set(revealing(view.get(), id, layout.at, view.size()))
    },
    [view, layout],
  )
  const onKeyDown = useCallback(
    (e: KeyboardEvent) => {
      const id = boxAt(e.target)
      const next = id === undefined || layout === undefined ? undefined : nextBox(id, e.key, layout.at)
      if (next === undefined || layout === undefined) return
      e.preventDefault()
      view.set(revealing(view.get(), next, layout.at, view.size()))
      requestAnimationFrame(() => view.host.current?.querySelector<HTMLElement>(`[data-box="${CSS.escape(next)}"]`)?.focus())
    },
    [view, layout],
  )
  return { onFocus, onKeyDown }
}

function waysOf(layout: Layout | undefined): ReadonlyMap<string, Gap[]> {
  return new Map(layout?.edges.map(([from, to], i) => [lineID(from, to), layout.ways[i] ?? []]))
}

/** The boxes and lines beside what the pointer or the focus is on. */
function nearOf(lines: readonly DrawnLine[], box: string | null, line: string | null) {
  const of = lines.filter((l) => l.id === line || (box !== null && (l.from === box || l.to === box)))
  if (of.length === 0) return null
  return { lines: new Set(of.map((l) => l.id)), boxes: new Set([box ?? '', ...of.flatMap((l) => [l.from, l.to])]) }
}

function wantedLabels(
  all: readonly DrawnLine[],
  states: ReadonlyMap<string, LineState>,
  ways: ReadonlyMap<string, Gap[]>,
  box: string | null,
  line: string | null,
): WantedLabel[] {
  const wanted: (WantedLabel & { order: number })[] = []
  for (const l of all) {
    const state = states.get(l.id)
    const way = ways.get(l.id)
    if (state === undefined || way === undefined || way.length === 0) continue
    const near = l.id === line ? 0 : l.from === box || l.to === box ? 1 : 2
    const text = near < 2 ? state.text : state.mark
    if (text !== '') wanted.push({ id: l.id, text, way, near: l.to === box ? 'from' : 'to', order: near })
  }
  return wanted.sort((a, b) => a.order - b.order)
}

/** What is in view, and what has the pointer or is chosen. Lines that cross the view are drawn whole. */
function drawnIn(f: Frame, scope: Scope, layout: Layout, keep: readonly (string | null | undefined)[]) {
  const nodes = scope.nodes.filter((n) => {
    const p = layout.at[n.id]
    if (p === undefined) return false
    return keep.includes(n.id) || (p.x < f.right && p.x + boxWidth > f.left && p.y < f.bottom && p.y + boxHeight > f.top)
  })
  const lines = scope.lines.filter((l) => {
    const [a, b] = [layout.at[l.from], layout.at[l.to]]
    if (a === undefined || b === undefined) return false
    return (
      Math.min(a.x, b.x) < f.right &&
      Math.max(a.x, b.x) + boxWidth > f.left &&
      Math.min(a.y, b.y) - 200 < f.bottom &&
      Math.max(a.y, b.y) + 200 > f.top
    )
  })
  nodes.sort((a, b) => (layout.at[a.id]?.x ?? 0) - (layout.at[b.id]?.x ?? 0) || (layout.at[a.id]?.y ?? 0) - (layout.at[b.id]?.y ?? 0))
  return { nodes, lines }
}
