import type { TraceHeatmap } from '../api/types'
import type { Cell } from '../chart/cells'
import { exact, moment } from '../lib/format'

/** Traces by start and duration: columns of time, rows of duration on a logarithmic scale, the shortest first. */
export interface Heat {
  columns: number
  rows: number
  cells: Cell[]
  most: number
  from: number // ms
  to: number
  low: number // ms of duration
  high: number
}

const leastRows = 8

/** The counts of the server as a map: its rows are half doublings, of which those with traces are shown, and some more where there are few. */
export function heatOf(a: Pick<TraceHeatmap, 'start' | 'end' | 'step_ms' | 'columns'>): Heat {
  const from = Date.parse(a.start)
  const to = Date.parse(a.end)
  const columns = Math.max(1, Math.ceil((to - from) / a.step_ms - 1e-6))
  const filled = a.columns.flatMap((c) => c.cells.map((x) => x.row))
  let [first, last] = filled.length > 0 ? [Math.min(...filled), Math.max(...filled)] : [21, 28]
  for (let up = true; last - first + 1 < leastRows; up = !up) {
    if (up || first <= 1) last++
    else first--
  }
  const rows = last - first + 1
  const heat: Heat = {
    columns,
    rows,
    cells: Array.from({ length: columns * rows }, () => ({ count: 0, failed: 0 })),
    most: 0,
    from,
    to: from + columns * a.step_ms,
    low: shortestIn(first),
    high: shortestIn(last + 1),
  }
  for (const c of a.columns) {
    const x = Math.min(columns - 1, Math.max(0, Math.round((Date.parse(c.time) - from) / a.step_ms)))
    for (const { row, traces, failed } of c.cells) {
      heat.cells[(row - first) * columns + x] = { count: traces, failed }
      heat.most = Math.max(heat.most, traces)
    }
  }
  return heat
}

/** The shortest duration of a row in ms; of row 0, which begins at 0, half a step below the next. */
const shortestIn = (row: number): number => 2 ** ((row - 1) / 2) / 1000

/** What the map is of, as a sentence. */
export function heatSentence(a: Pick<TraceHeatmap, 'start' | 'traces' | 'whole_from'>): string {
  const counted = `Heatmap: all ${exact(a.traces)} traces that match`
  // What is counted begins where the views do; that alone needs no words.
  return Date.parse(a.whole_from) <= Date.parse(a.start) ? `${counted}.` : `${counted} from ${moment(Date.parse(a.whole_from))} on.`
}

/** Where a duration lies between the lowest (0) and the highest (1). */
export const shareOf = (h: Heat, ms: number): number => Math.log(Math.max(ms, h.low) / h.low) / Math.log(h.high / h.low)

export const durationAt = (h: Heat, share: number): number => h.low * (h.high / h.low) ** Math.min(1, Math.max(0, share))

export const timeAt = (h: Heat, share: number): number => h.from + (h.to - h.from) * Math.min(1, Math.max(0, share))

/** Round durations for the axis. */
export function durationTicks(h: Heat): number[] {
  const out: number[] = []
  for (let power = 10 ** Math.floor(Math.log10(h.low)); power <= h.high; power *= 10) if (power >= h.low) out.push(power)
  return out
}

export interface Region {
  from: number // Unix seconds
  to: number
  min: string
  max: string
}

/** A part of the heatmap as filters: whole seconds, at least one, and durations in microseconds. Shares are from 0 to 1, of duration from below. */
export function regionOf(h: Heat, x: [number, number], y: [number, number]): Region {
  const from = Math.floor(timeAt(h, Math.min(...x)) / 1000)
  const to = Math.max(from + 1, Math.ceil(timeAt(h, Math.max(...x)) / 1000))
  const us = (share: number, up: boolean) => `${(up ? Math.ceil : Math.floor)(durationAt(h, share) * 1000)}us`
  const [low, high] = [Math.min(...y), Math.max(...y)]
  return { from, to, min: low <= 0 ? '' : us(low, false), max: high >= 1 ? '' : us(high, true) }
}
