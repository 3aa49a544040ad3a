import { useCallback, useMemo, useRef, useState } from 'react'
import type { TraceHeatmap } from '../api/types'
import { drawCells } from '../chart/cells'
import { exact, moment, took } from '../lib/format'
import { type Ink, useCanvas } from '../trace/use-canvas'
import { durationAt, durationTicks, type Heat, heatOf, heatSentence, type Region, regionOf, shareOf, timeAt } from './heat'
import './explore.css'

const height = 168

interface Props {
  answer: TraceHeatmap
  /** Called with a part of the map that was drawn with the pointer. */
  onRegion: (r: Region) => void
}

interface Point {
  x: number
  y: number // from below
}

/** How long traces took, over time: darker is more of them, red where some failed. */
export function Heatmap({ answer, onRegion }: Props) {
  const heat = useMemo(() => heatOf(answer), [answer])
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
          aria-label={`Durations of ${exact(answer.traces)} traces over time, ${exact(answer.failed)} of them with failed spans`}
        />
        {drawn && <span className="heat-drawn" style={boxOf(drawn)} />}
      </div>
      <figcaption className="dim">
        {captionOf(heat, at)}
        <br />
        {heatSentence(answer)}
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
  const cell = h.cells[Math.min(h.rows - 1, Math.floor(at.y * h.rows)) * h.columns + Math.min(h.columns - 1, Math.floor(at.x * h.columns))]
  const what = `${exact(cell?.count ?? 0)} traces${cell?.failed ? `, ${exact(cell.failed)} with failed spans` : ''}`
  return `${moment(timeAt(h, at.x))}, about ${took(durationAt(h, at.y))}: ${what}`
}

function drawHeat({ context, width, color }: Ink, h: Heat): void {
  context.clearRect(0, 0, width, height)
  drawCells(context, { left: 0, top: 0, width, height }, h, (name) => color(`var(${name})`))
}
