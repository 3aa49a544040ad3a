import type { TraceSummary } from '../api/types'
import type { Cell } from '../chart/cells'

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

const stepsOfTen = [1, 2, 5]

/** The next round duration at or below (or above) one. */
function round(ms: number, up: boolean): number {
  const power = 10 ** Math.floor(Math.log10(ms))
  const steps = stepsOfTen.map((s) => s * power)
  return up ? (steps.find((s) => s >= ms) ?? 10 * power) : (steps.findLast((s) => s <= ms) ?? power)
}

export const startOf = (t: TraceSummary): number => Number(BigInt(t.minStartTimeUnixNano) / 1_000_000n)

export function heatOf(traces: readonly TraceSummary[], from: number, to: number, columns: number, rows: number): Heat {
  const least = 0.001
  const durations = traces.map((t) => Math.max(least, t.duration_ms))
  const low = round(durations.length > 0 ? Math.min(...durations) : 1, false)
  const high = Math.max(low * 10, round(durations.length > 0 ? Math.max(...durations) : 1000, true))
  const heat: Heat = {
    columns,
    rows,
    cells: Array.from({ length: columns * rows }, () => ({ count: 0, failed: 0 })),
    most: 0,
    from,
    to,
    low,
    high,
  }
  for (const [i, t] of traces.entries()) {
    const x = Math.floor((columns * (startOf(t) - from)) / Math.max(1, to - from))
    const y = Math.floor(rows * shareOf(heat, durations[i] ?? low))
    if (x < 0 || x > columns) continue
    const cell = heat.cells[Math.min(rows - 1, Math.max(0, y)) * columns + Math.min(columns - 1, x)] as Cell
    cell.count++
    if (t.errorSpanCount > 0) cell.failed++
    heat.most = Math.max(heat.most, cell.count)
  }
  return heat
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
