import type { LogLine } from '../api/types'
import { severityOf } from '../logs/line'
import type { Analysis } from './analysis'
import type { SpanNode } from './tree'

/** The part of a trace that is shown, in microseconds from its start. */
export interface Window {
  from: number
  to: number
}

/** Places of a lane: SVG is drawn in so many units, whatever its width. */
export const laneUnits = 1000
const thinnest = 3
const closest = 2

/** Where a bar lies, in per cent of the window. What is short can still be seen; undefined is outside. */
export function barOf(n: SpanNode, w: Window): { left: number; width: number } | undefined {
  const length = w.to - w.from
  if (length <= 0) return { left: 0, width: 100 }
  const from = Math.max(n.offset, w.from)
  const to = Math.min(n.offset + n.span.duration, w.to)
  if (to < from || n.offset > w.to || n.offset + n.span.duration < w.from) return undefined
  const width = Math.min(100, Math.max((100 * thinnest) / laneUnits, (100 * (to - from)) / length))
  return { left: Math.min((100 * (from - w.from)) / length, 100 - width), width }
}

/** Pieces of time as one path; pieces that would touch are drawn as one. */
export function pathOf(pieces: Iterable<readonly [number, number]>, w: Window): string {
  const scale = laneUnits / (w.to - w.from)
  if (!Number.isFinite(scale)) return ''
  let d = ''
  let from = Number.NaN
  let to = Number.NaN
  const flush = () => {
    if (!Number.isNaN(from)) d += `M${round(from)} 1H${round(Math.max(to, from + thinnest))}`
  }
  for (const [a, b] of pieces) {
    if (b < w.from || a > w.to) continue
    const x = (Math.max(a, w.from) - w.from) * scale
    const y = (Math.min(b, w.to) - w.from) * scale
    if (x - to < closest) to = Math.max(to, y)
    else {
      flush()
      from = x
      to = y
    }
  }
  flush()
  return d
}

const round = (x: number): number => Math.round(x * 10) / 10

/** The sections of the critical path of each span, by its place in the tree. */
export function sectionsOf(a: Analysis): (index: number) => [number, number][] {
  const first = new Map<number, number>()
  for (let i = a.sectionSpan.length - 1; i >= 0; i--) first.set(a.sectionSpan[i] as number, i)
  return (index) => {
    const out: [number, number][] = []
    for (let i = first.get(index) ?? a.sectionSpan.length; a.sectionSpan[i] === index; i++) {
      out.push([a.sectionFrom[i] as number, a.sectionTo[i] as number])
    }
    return out
  }
}

/** Marks of an axis: round steps, at most so many. */
export function ticksOf(w: Window, most: number): number[] {
  const length = w.to - w.from
  if (length <= 0) return [w.from]
  const rough = length / most
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10)
  const out: number[] = []
  for (let t = Math.ceil(w.from / step) * step; t <= w.to; t += step) out.push(t)
  return out
}

/** When the log lines of a span were written, in microseconds from the start of the trace, in order. */
export interface LogTimes {
  all: [number, number][]
  /** Those of errors. */
  bad: [number, number][]
}

/** RFC 3339 in microseconds: a Date has milliseconds only, and a span may be shorter than one. */
export function microsOf(time: string): number {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? ''
  return Math.floor(Date.parse(time) / 1000) * 1e6 + Number(fraction.slice(0, 6).padEnd(6, '0'))
}

/** The lines of each span, by its id. */
export function logTimes(lines: readonly Pick<LogLine, 'time' | 'span_id' | 'severity'>[], start: number): ReadonlyMap<string, LogTimes> {
  const out = new Map<string, LogTimes>()
  for (const l of lines) {
    const at = microsOf(l.time) - start
    if (!l.span_id || !Number.isFinite(at)) continue
    const of = out.get(l.span_id) ?? { all: [], bad: [] }
    of.all.push([at, at])
    if (severityOf(l.severity) === 'error') of.bad.push([at, at])
    out.set(l.span_id, of)
  }
  for (const of of out.values()) for (const list of [of.all, of.bad]) list.sort((a, b) => a[0] - b[0])
  return out
}
