import { MoveVertical } from 'lucide-react'
import { type KeyboardEvent, type PointerEvent, type RefObject, useRef } from 'react'
import type uPlot from 'uplot'
import { stepOf, tidy } from '../promql/threshold'

export interface Threshold {
  value: number
  /** How values are compared with it. */
  op: string
  format: (v: number) => string
  /** Absent: it cannot be changed. */
  onChange?: ((value: number) => void) | undefined
}

interface Props {
  ref: RefObject<HTMLDivElement | null>
  plot: RefObject<uPlot | null>
  /** The scale while it is drawn: a scale that follows the line would run away from the pointer. */
  dragged: RefObject<[number, number] | null>
  threshold: Threshold
}

/** The line of a threshold over a plot. It is drawn with the pointer, and moved with the arrow keys. */
export function ThresholdLine({ ref, plot, dragged, threshold: { value, op, format, onChange } }: Props) {
  const grip = useRef(0) // how far from the line it was taken
  const words = `${op} ${format(value)}`
  if (onChange === undefined)
    return (
      <div ref={ref} className="threshold">
        <span className="threshold-label">{words}</span>
      </div>
    )
  const scale = (): [number, number] => [plot.current?.scales.y?.min ?? 0, plot.current?.scales.y?.max ?? 1]
  const valueAt = (e: PointerEvent) => {
    const u = plot.current
    if (u === null) return value
    const y = e.clientY - u.over.getBoundingClientRect().top - grip.current
    const v = u.posToVal(Math.max(0, Math.min(u.over.clientHeight, y)), 'y')
    const step = stepOf(scale()[1] - scale()[0]) / 2
    return tidy(Math.round(v / step) * step)
  }
  const end = () => {
    if (dragged.current === null) return
    dragged.current = null
    const u = plot.current
    u?.setData(u.data) // the scale follows now
  }
  return (
    <div
      ref={ref}
      className="threshold"
      role="slider"
      tabIndex={0}
      aria-label="Threshold"
      aria-orientation="vertical"
      aria-valuenow={value}
      aria-valuemin={tidy(Math.min(value, scale()[0]))}
      aria-valuemax={tidy(Math.max(value, scale()[1]))}
      aria-valuetext={words}
      title="Move the threshold: drag it, or use the arrow keys"
      onPointerDown={(e) => {
        const u = plot.current
        if (u === null || e.button !== 0) return
        e.preventDefault()
        e.currentTarget.focus()
        e.currentTarget.setPointerCapture(e.pointerId)
        grip.current = e.clientY - u.over.getBoundingClientRect().top - u.valToPos(value, 'y')
        dragged.current = scale()
      }}
      onPointerMove={(e) => {
        if (dragged.current === null) return
        const v = valueAt(e)
        if (v !== value) onChange(v)
      }}
      onPointerUp={end}
      onPointerCancel={end}
      onLostPointerCapture={end}
      onKeyDown={(e) => {
        const v = moved(e, value, scale())
        if (v === undefined) return
        e.preventDefault()
        onChange(v)
      }}
    >
      <span className="threshold-label">
        {words}
        <MoveVertical size={12} aria-hidden="true" />
      </span>
    </div>
  )
}

function moved(e: KeyboardEvent, value: number, [min, max]: [number, number]): number | undefined {
  const step = stepOf(max - min)
  const by = (n: number) => tidy(Math.round((value + n * step) / step) * step)
  switch (e.key) {
    case 'ArrowUp':
    case 'ArrowRight':
      return by(1)
    case 'ArrowDown':
    case 'ArrowLeft':
      return by(-1)
    case 'PageUp':
      return by(10)
    case 'PageDown':
      return by(-10)
    case 'Home':
      return 0
    case 'End':
      return tidy(max)
    default:
      return undefined
  }
}
