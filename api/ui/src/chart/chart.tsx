import { useComputedColorScheme } from '@mantine/core'
import { type ReactNode, type RefObject, useEffect, useImperativeHandle, useRef } from 'react'
import uPlot from 'uplot'
import { csvText } from '../lib/csv'
import { download } from '../lib/download'
import { dateOf, minuteOf, moment, secondOf } from '../lib/format'
import { rangeBetween, zoomedOut } from '../lib/range'
import { useRange } from '../lib/url'
import { zone } from '../lib/zone'
import 'uplot/dist/uPlot.min.css'
import { drawHeat, type Heat, heatAxis, heatScale, placeTip } from './heat'
import { ChartMenu } from './menu'
import { fileName, savePNG } from './png'
import { type Threshold, ThresholdLine } from './threshold'
import './chart.css'

export interface Line {
  label: string
  /** Name of a CSS variable that holds the colour. */
  color: string
  values: (number | null)[]
  dash?: number[]
  fill?: boolean
}

/** A moment to mark on a chart. */
export interface Mark {
  time: number // Unix seconds
  label: string
}

/** A stretch of time with a ground of its own. */
export interface Band {
  from: number // Unix seconds
  to: number
  /** Name of a CSS variable that holds the colour. */
  color: string
}

interface Props {
  title: string
  unit: string
  times: number[] // Unix seconds
  lines: Line[]
  format: (v: number) => string
  span: [number, number]
  /** Bars on one another, the first line at the bottom; each stands for the time before it. */
  stacked?: boolean
  height?: number
  marks?: readonly Mark[]
  bands?: readonly Band[]
  /** Called with a time range that was drawn with the pointer; without it the page zooms there. */
  onSelect?: (from: number, to: number) => void
  /** What can be done with it, beside the title. */
  action?: ReactNode
  /** A number that values are compared with, as a line; one that can be changed is drawn up and down. */
  threshold?: Threshold | undefined
  /** Called with the place under the cursor: the legend is elsewhere. */
  onCursor?: (at: number | null) => void
  /** A heatmap in the place of lines. */
  heat?: Heat | undefined
  /** Saves the chart as a picture, for buttons elsewhere. */
  png?: RefObject<(() => void) | null> | undefined
}

const usualHeight = 172
const noMarks: readonly Mark[] = []
const noBands: readonly Band[] = []

/** One chart. All charts of a page share their cursor; their legends show the values under it, else the newest. */
export function Chart({
  title,
  unit,
  times,
  lines,
  format,
  span,
  stacked = false,
  height = usualHeight,
  marks = noMarks,
  bands = noBands,
  onSelect,
  action,
  threshold,
  onCursor,
  heat,
  png,
}: Props) {
  const box = useRef<HTMLDivElement>(null)
  const legend = useRef<HTMLSpanElement>(null)
  const plot = useRef<uPlot | null>(null)
  const scheme = useComputedColorScheme('light')
  const shape = JSON.stringify(lines.map((l) => [l.label, l.color, l.dash, l.fill]))
  const [range, setRange] = useRange()
  const zoom = (from: number, to: number) => setRange(rangeBetween(from, to))
  const handle = useRef<HTMLDivElement>(null)
  const dragged = useRef<[number, number] | null>(null) // the scale while the threshold is drawn
  const tip = useRef<HTMLDivElement>(null)
  const now = { times, lines, format, span, marks, bands, onSelect: onSelect ?? zoom, range, setRange, threshold, onCursor, heat }
  const latest = useRef(now)
  latest.current = now
  const heated = heat !== undefined
  const place = () => placeThreshold(plot.current, handle.current, latest.current.threshold?.value)

  const save = () => plot.current && savePNG(plot.current.ctx.canvas, [title, unit].filter(Boolean).join(', '), lines)
  useImperativeHandle(png, () => save)
  // biome-ignore lint/correctness/useExhaustiveDependencies: scheme and shape make a new plot; data goes in by setData below
  useEffect(() => {
    const host = box.current
    if (host === null) return
    const css = getComputedStyle(document.documentElement)
    const color = (name: string) => css.getPropertyValue(name).trim()
    const axis: uPlot.Axis = {
      stroke: color('--dim'),
      font: `11px ${getComputedStyle(document.body).fontFamily}`,
      grid: { stroke: color('--hair'), width: 1 },
      ticks: { show: false },
    }
    const out = () => {
      latest.current.setRange(zoomedOut(latest.current.range))
      return null
    }
    const tell = (u: uPlot) => {
      const at = u.cursor.idx ?? null
      writeLegend(legend.current, latest.current, at)
      placeTip(u, tip.current, latest.current.heat)
      latest.current.onCursor?.(u.cursor.left === undefined || u.cursor.left < 0 ? null : at)
    }
    const drawn = latest.current.lines.map(
      (l): uPlot.Series => ({
        label: l.label,
        stroke: color(l.color),
        width: stacked ? 0 : 1.5,
        points: { show: false },
        ...(l.dash ? { dash: l.dash } : {}),
        ...(stacked ? { fill: color(l.color), paths: bars } : l.fill ? { fill: `${color(l.color)}22` } : {}),
      }),
    )
    const u = new uPlot(
      {
        width: host.clientWidth,
        height,
        ...(zone() === 'utc' ? { tzDate: (s: number) => uPlot.tzDate(new Date(s * 1000), 'UTC') } : {}),
        cursor: {
          sync: { key: 'time' },
          points: { show: !stacked, size: 6 },
          drag: { x: true, y: false, setScale: false, dist: 5 },
          bind: { dblclick: () => out },
        },
        legend: { show: false },
        scales: {
          x: { range: () => latest.current.span },
          y: heated ? heatScale : { range: (_, min, max) => dragged.current ?? scaleOf(min, max, latest.current.threshold?.value) },
        },
        axes: [
          { ...axis, space: 64, size: 24, values: timeTicks, incrs: timeSteps },
          {
            ...axis,
            space: 36,
            size: heated ? 68 : 44,
            ...(heated
              ? heatAxis(() => latest.current.heat)
              : { values: (_, ticks) => ticks.map((v) => latest.current.format(v).replace(/\.0+$/, '')) }),
          },
        ],
        series: [{}, ...(stacked ? drawn.reverse() : drawn)],
        hooks: {
          setCursor: [tell],
          setData: [tell],
          drawClear: [(p) => drawBands(p, latest.current.bands, color), (p) => drawHeat(p, latest.current.heat, color)],
          draw: [(p) => drawMarks(p, latest.current.marks, color('--dim'), axis.font as string), place, alignTo],
          setSelect: [
            (p) => {
              if (p.select.width < 4) return
              latest.current.onSelect(p.posToVal(p.select.left, 'x'), p.posToVal(p.select.left + p.select.width, 'x'))
              p.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
            },
          ],
        },
      },
      dataOf(latest.current.times, latest.current.lines, stacked),
      host,
    )
    plot.current = u
    place()
    tell(u)
    const observer = new ResizeObserver(() => u.setSize({ width: host.clientWidth, height }))
    observer.observe(host)
    return () => {
      observer.disconnect()
      u.destroy()
      plot.current = null
    }
  }, [scheme, shape, stacked, height, heated])

  useEffect(() => {
    plot.current?.setData(dataOf(times, lines, stacked))
  }, [times, lines, stacked])

  // biome-ignore lint/correctness/useExhaustiveDependencies: marks are read when it draws
  useEffect(() => {
    plot.current?.redraw(false, heated)
  }, [marks, bands, heat])

  // biome-ignore lint/correctness/useExhaustiveDependencies: the line is placed when it draws, with the scale that holds it
  useEffect(() => {
    const u = plot.current
    if (u === null) return
    if (dragged.current === null) u.setData(u.data)
    place()
  }, [threshold?.value])

  return (
    <figure className="chart">
      <figcaption>
        {(onCursor === undefined || action) && (
          <span className="chart-title">
            <span>
              {title} <span className="unit">{unit}</span>
            </span>
            {action}
            {(times.length > 0 || heated) && (
              <ChartMenu
                title={title}
                onPNG={save}
                onCSV={heated ? undefined : () => download(fileName(title, 'csv'), tableOf(times, lines))}
              />
            )}
          </span>
        )}
        <span className="legend" ref={legend} aria-hidden="true">
          <span className="legend-time" />
          {(onCursor ? [] : lines).map((l) => (
            <span key={l.label} className="legend-line">
              <svg width="14" height="8" viewBox="0 0 14 8" aria-hidden="true">
                <path d="M0 4h14" stroke={`var(${l.color})`} strokeWidth="2" strokeDasharray={l.dash?.join(' ')} />
              </svg>
              {l.label} <b />
            </span>
          ))}
        </span>
      </figcaption>
      <div className="plot">
        <div
          ref={box}
          role="img"
          style={height === usualHeight ? undefined : { minHeight: height }}
          aria-label={`${[title, unit].filter(Boolean).join(', ')}: ${heat ? heatSummary(heat) : summary(lines.slice(0, 20), format)}`}
        />
        {heat && <div ref={tip} className="chart-tip" hidden />}
        {threshold && <ThresholdLine ref={handle} plot={plot} dragged={dragged} threshold={threshold} />}
      </div>
    </figure>
  )
}

/** Zero is always on the scale, and so is the threshold. */
export function scaleOf(min: number | null, max: number | null, threshold: number | undefined): [number, number] {
  const [low, high] = [Math.min(0, min ?? 0, threshold ?? 0), Math.max(0, max ?? 0, threshold ?? 0)]
  return low === 0 && high === 0 ? [0, 1] : [low * 1.1, high * 1.1]
}

function placeThreshold(u: uPlot | null, handle: HTMLElement | null, value: number | undefined): void {
  if (u === null || handle === null || value === undefined) return
  const y = Math.max(0, Math.min(u.over.clientHeight, u.valToPos(value, 'y')))
  handle.style.top = `${u.over.offsetTop + y}px`
  handle.style.left = `${u.over.offsetLeft}px`
  handle.style.width = `${u.over.clientWidth}px`
}

/** What stands below on the same axis of time begins and ends where the plot does. */
function alignTo(u: uPlot): void {
  const around = u.root.closest<HTMLElement>('.aligned')
  if (around === null) return
  const [of, plot] = [around.getBoundingClientRect(), u.over.getBoundingClientRect()]
  around.style.setProperty('--plot-left', `${plot.left - of.left}px`)
  around.style.setProperty('--plot-right', `${of.right - plot.right}px`)
}

const day = 86_400
const timeSteps = [
  ...[1, 5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200],
  ...[day, 2 * day, 7 * day, 14 * day, 28 * day, 56 * day],
]

function timeTicks(_: uPlot, ticks: number[], __: number, ___: number, step: number): string[] {
  const text = step >= day ? (t: number) => dateOf(t).slice(5) : step >= 60 ? minuteOf : secondOf
  return ticks.map((t) => text(t * 1000))
}

const bars = uPlot.paths.bars?.({ size: [0.8, 24], align: -1 }) as uPlot.Series.PathBuilder

/** What is drawn: values, or for bars sums from the bottom, the highest first so that lower ones cover it. */
export function dataOf(times: number[], lines: Line[], stacked: boolean): uPlot.AlignedData {
  if (!stacked) return [times, ...lines.map((l) => l.values)]
  const sums: number[][] = []
  let below = new Array<number>(times.length).fill(0)
  for (const l of lines) {
    below = below.map((v, i) => v + (l.values[i] ?? 0))
    sums.unshift(below)
  }
  return [times, ...sums]
}

function drawBands(u: uPlot, bands: readonly Band[], color: (name: string) => string): void {
  const { ctx, bbox } = u
  ctx.save()
  for (const b of bands) {
    const from = Math.max(bbox.left, u.valToPos(b.from, 'x', true))
    const to = Math.min(bbox.left + bbox.width, u.valToPos(b.to, 'x', true))
    if (to <= from) continue
    ctx.fillStyle = color(b.color)
    ctx.fillRect(from, bbox.top, to - from, bbox.height)
  }
  ctx.restore()
}

function drawMarks(u: uPlot, marks: readonly Mark[], color: string, font: string): void {
  const { ctx, bbox } = u
  const [min, max] = [u.scales.x?.min ?? 0, u.scales.x?.max ?? 0]
  ctx.save()
  ctx.strokeStyle = color
  ctx.fillStyle = color
  ctx.lineWidth = devicePixelRatio
  ctx.font = font.replace('11px', `${11 * devicePixelRatio}px`)
  ctx.textBaseline = 'top'
  for (const m of marks) {
    if (m.time < min || m.time > max) continue
    const x = Math.round(u.valToPos(m.time, 'x', true))
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio])
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
    ctx.stroke()
    ctx.textAlign = x > bbox.left + bbox.width * 0.75 ? 'right' : 'left'
    ctx.fillText(m.label, x + (ctx.textAlign === 'right' ? -4 : 4) * devicePixelRatio, bbox.top)
  }
  ctx.restore()
}

/** Written past React: it follows the pointer. */
function writeLegend(
  host: HTMLElement | null,
  { times, lines, format }: Pick<Props, 'times' | 'lines' | 'format'>,
  at: number | null,
): void {
  if (host === null) return
  const time = at === null ? undefined : times[at]
  const clock = host.querySelector('.legend-time')
  if (clock)
    clock.textContent = time === undefined ? '' : dateOf(time * 1000) === dateOf(Date.now()) ? secondOf(time * 1000) : moment(time * 1000)
  host.querySelectorAll('b').forEach((b, i) => {
    const values = lines[i]?.values ?? []
    const v = at === null ? values.at(-1) : values[at]
    b.textContent = v == null ? '–' : format(v)
  })
}

/** The chart in words: the newest and the largest of each line. */
export function summary(lines: Line[], format: (v: number) => string): string {
  return lines
    .map((l) => {
      const values = l.values.filter((v): v is number => v !== null)
      const last = values.at(-1)
      return last === undefined ? `${l.label} no data` : `${l.label} now ${format(last)}, at most ${format(Math.max(...values))}`
    })
    .join('; ')
}

const heatSummary = (h: Heat): string =>
  h.rows === 0 ? 'no data' : `heatmap of values from ${h.ticks[0]?.text} to ${h.ticks.at(-1)?.text} over time`

/** The points of a chart as CSV: a row for each time, a column for each line. */
export const tableOf = (times: readonly number[], lines: readonly Line[]): string =>
  csvText([
    ['time', ...lines.map((l) => l.label)],
    ...times.map((t, i) => [new Date(t * 1000).toISOString(), ...lines.map((l) => String(l.values[i] ?? ''))]),
  ])
