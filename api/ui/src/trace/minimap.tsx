import { memo, useCallback, useRef, useState } from 'react'
import { took } from '../lib/format'
import type { Window } from './bars'
import { barColor, type Coloring } from './colors'
import type { SpanTree } from './tree'
import { type Ink, useCanvas } from './use-canvas'

const height = 56

interface Props {
  tree: SpanTree
  coloring: Coloring
  window: Window
  onWindow: (w: Window) => void
}

/** The whole trace in small. A stretch drawn on it is what the rows show. */
export const Minimap = memo(function Minimap({ tree, coloring, window: w, onWindow }: Props) {
  const [drawn, setDrawn] = useState<Window>()
  const from = useRef(0)
  const draw = useCallback((ink: Ink) => drawTrace(ink, tree, coloring), [tree, coloring])
  const { ref } = useCanvas(draw, height)
  const timeAt = (e: React.PointerEvent): number => {
    const box = e.currentTarget.getBoundingClientRect()
    return Math.min(1, Math.max(0, (e.clientX - box.left) / box.width)) * tree.duration
  }
  const whole = w.from <= 0 && w.to >= tree.duration
  const shown = drawn ?? (whole ? undefined : w)
  const percent = (t: number) => `${tree.duration > 0 ? (100 * t) / tree.duration : 0}%`
  return (
    <div className="tv-map">
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the pointer's way to zoom; keyboards reach every span by its row */}
      <div
        className="tv-map-box"
        onPointerDown={(e) => {
          if (e.button !== 0) return
          e.currentTarget.setPointerCapture(e.pointerId)
          from.current = timeAt(e)
          setDrawn({ from: from.current, to: from.current })
        }}
        onPointerMove={(e) => {
          if (drawn === undefined) return
          const t = timeAt(e)
          setDrawn({ from: Math.min(from.current, t), to: Math.max(from.current, t) })
        }}
        onPointerUp={() => {
          if (drawn === undefined) return
          setDrawn(undefined)
          if (drawn.to - drawn.from > tree.duration / 500) onWindow(drawn)
        }}
        onPointerCancel={() => setDrawn(undefined)}
        onDoubleClick={() => onWindow({ from: 0, to: tree.duration })}
      >
        <canvas ref={ref} height={height} role="img" aria-label={`${tree.nodes.length} spans over ${took(tree.duration / 1000)}`} />
        {shown && (
          <>
            <span className="tv-map-out" style={{ left: 0, width: percent(shown.from) }} />
            <span className="tv-map-out" style={{ left: percent(shown.to), right: 0 }} />
            <span className="tv-map-in" style={{ left: percent(shown.from), width: percent(shown.to - shown.from) }} />
          </>
        )}
      </div>
      {!whole && (
        <button type="button" className="tv-btn tv-map-all" onClick={() => onWindow({ from: 0, to: tree.duration })}>
          Show all {took(tree.duration / 1000)}
        </button>
      )}
    </div>
  )
})

function drawTrace({ context, width, color }: Ink, tree: SpanTree, coloring: Coloring): void {
  context.clearRect(0, 0, width, height)
  const step = Math.min(4, (height - 4) / Math.max(1, tree.nodes.length))
  const thick = Math.max(1, step - 1)
  const scale = tree.duration > 0 ? width / tree.duration : 0
  // One path for each colour, and those of failures last: they must not be hidden.
  const byColor = new Map<string, Path2D>()
  for (const n of tree.nodes) {
    const c = barColor(n, coloring)
    let path = byColor.get(c)
    if (path === undefined) {
      path = new Path2D()
      byColor.set(c, path)
    }
    path.rect(n.offset * scale, 2 + n.index * step, Math.max(n.origin ? 3 : 1, n.span.duration * scale), thick)
  }
  const error = 'var(--c-error)'
  for (const [c, path] of [...byColor].sort(([a], [b]) => Number(a === error) - Number(b === error))) {
    context.fillStyle = color(c)
    context.fill(path)
  }
}
