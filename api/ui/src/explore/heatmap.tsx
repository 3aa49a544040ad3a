import { useCallback, useMemo, useRef, useState } from 'react'
import type { TraceSummary } from '../api/types'
import { drawCells } from '../chart/cells'
import { exact, moment, took } from '../lib/format'
import { type Ink, useCanvas } from '../trace/use-canvas'
import { durationAt, durationTicks, type Heat, heatOf, type Region, regionOf, shareOf, timeAt } from './heat'
import './explore.css'

const height = 168
const columns = 90
const rows = 24

interface Props {
  traces: readonly TraceSummary[]
  from: number // ms
  to: number
  /** What the traces are of all that match. */
  sentence: string
  /** Called with a part of the map that was drawn with the pointer. */
  onRegion: (r: Region) => void
}

interface Point {
  x: number
  y: number // from below
}

/** How long traces took, over time: darker is more of them, red where some failed. */
export function Heatmap({ traces, from, to, sentence, onRegion }: Props) {
  const heat = useMemo(() => heatOf(traces, from, to, columns, rows), [traces, from, to])
  const draw = useCallback((ink: Ink) => drawHeat(ink, heat), [heat])
  const { ref } = useCanvas(draw, height)
  const begin = useRef<Point | null>(null)
  const [drawn, setDrawn] = useState<[Point, Point]>()
  const [at, setAt] = useState<Point>()
  const pointOf = (e: React.PointerEvent): Point => {
    const box = e.currentTarget.getBoundingClientRect()
    const within = (v: number) => Math.min(1, Math.max(0, v))
    return { x: within((e.clientX - box.left) / box.width), y: 1 - within((e.clientY - box.top) / box.height) }
  }
  const failed = traces.filter((t) => t.errorSpanCount > 0).length
  return (
    <figure className="heat">
      <div className="heat-axis" aria-hidden="true">
        {durationTicks(heat).map((ms) => (
          <span key={ms} style={{ bottom: `${100 * shareOf(heat, ms)}%` }}>
            {took(ms)}
          </span>
        ))}
      </div>
      <div
        className="heat-box"
        onPointerDown={(e) => {
          if (e.button !== 0) return
          e.currentTarget.setPointerCapture(e.pointerId)
          begin.current = pointOf(e)
        }}
        onPointerMove={(e) => {
          const p = pointOf(e)
          setAt(p)
          if (begin.current !== null) setDrawn([begin.current, p])
        }}
        onPointerUp={() => {
          begin.current = null
          setDrawn(undefined)
          if (drawn === undefined || Math.abs(drawn[0].x - drawn[1].x) < 0.005) return
          onRegion(regionOf(heat, [drawn[0].x, drawn[1].x], [drawn[0].y, drawn[1].y]))
        }}
        onPointerCancel={() => {
          begin.current = null
          setDrawn(undefined)
        }}
        onPointerLeave={() => setAt(undefined)}
      >
        <canvas
          ref={ref}
          height={height}
          role="img"
          aria-label={`Durations of ${traces.length} traces over time, ${failed} of them with failed spans`}
        />
        {drawn && <span className="heat-drawn" style={boxOf(drawn)} />}
      </div>
      <figcaption className="dim">
        {captionOf(heat, at)}
        <br />
        {sentence}
      </figcaption>
    </figure>
  )
}

const boxOf = ([a, b]: [Point, Point]) => ({
  left: `${100 * Math.min(a.x, b.x)}%`,
  width: `${100 * Math.abs(a.x - b.x)}%`,
  bottom: `${100 * Math.min(a.y, b.y)}%`,
  height: `${100 * Math.abs(a.y - b.y)}%`,
})

/** Always one line, so that nothing moves under the pointer. */
function captionOf(h: Heat, at: Point | undefined): string {
  if (at === undefined) return `${moment(h.from)} to ${moment(h.to)}. Drag over a region to search within it.`
  const cell = h.cells[Math.min(rows - 1, Math.floor(at.y * rows)) * columns + Math.min(columns - 1, Math.floor(at.x * columns))]
  const what = `${exact(cell?.count ?? 0)} traces${cell?.failed ? `, ${exact(cell.failed)} with failed spans` : ''}`
  return `${moment(timeAt(h, at.x))}, about ${took(durationAt(h, at.y))}: ${what}`
}

function drawHeat({ context, width, color }: Ink, h: Heat): void {
  context.clearRect(0, 0, width, height)
  drawCells(context, { left: 0, top: 0, width, height }, h, (name) => color(`var(${name})`))
}
