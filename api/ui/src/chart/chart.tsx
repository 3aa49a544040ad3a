import { useComputedColorScheme } from '@mantine/core'
import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

export interface Line {
  label: string
  /** Name of a CSS variable that holds the colour. */
  color: string
  values: (number | null)[]
  dash?: number[]
  fill?: boolean
}

interface Props {
  title: string
  unit: string
  times: number[] // Unix seconds
  lines: Line[]
  format: (v: number) => string
  span: [number, number]
}

const height = 172

/** One chart. All charts of a page share their cursor; their legends tell the values under it, else the newest. */
export function Chart({ title, unit, times, lines, format, span }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const legend = useRef<HTMLSpanElement>(null)
  const plot = useRef<uPlot | null>(null)
  const scheme = useComputedColorScheme('light')
  const shape = JSON.stringify(lines.map((l) => [l.label, l.color, l.dash, l.fill]))
  const latest = useRef({ times, lines, format, span })
  latest.current = { times, lines, format, span }

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
    const tell = (u: uPlot) => writeLegend(legend.current, latest.current, u.cursor.idx ?? null)
    const u = new uPlot(
      {
        width: host.clientWidth,
        height,
        cursor: { sync: { key: 'time' }, points: { size: 6 }, drag: { x: false, y: false } },
        legend: { show: false },
        scales: {
          x: { range: () => latest.current.span },
          y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
        },
        axes: [
          { ...axis, space: 64, size: 24, values: '{HH}:{mm}', incrs: [60, 120, 300, 600, 900, 1800, 3600, 7200] },
          { ...axis, space: 36, size: 44, values: (_, ticks) => ticks.map((v) => latest.current.format(v).replace(/\.0+$/, '')) },
        ],
        series: [
          {},
          ...latest.current.lines.map(
            (l): uPlot.Series => ({
              label: l.label,
              stroke: color(l.color),
              width: 1.5,
              points: { show: false },
              ...(l.dash ? { dash: l.dash } : {}),
              ...(l.fill ? { fill: `${color(l.color)}22` } : {}),
            }),
          ),
        ],
        hooks: { setCursor: [tell], setData: [tell] },
      },
      [latest.current.times, ...latest.current.lines.map((l) => l.values)],
      host,
    )
    plot.current = u
    tell(u)
    const observer = new ResizeObserver(() => u.setSize({ width: host.clientWidth, height }))
    observer.observe(host)
    return () => {
      observer.disconnect()
      u.destroy()
      plot.current = null
    }
  }, [scheme, shape])

  useEffect(() => {
    plot.current?.setData([times, ...lines.map((l) => l.values)])
  }, [times, lines])

  return (
    <figure className="chart">
      <figcaption>
        <span>
          {title} <span className="unit">{unit}</span>
        </span>
        <span className="legend" ref={legend} aria-hidden="true">
          <span className="legend-time" />
          {lines.map((l) => (
            <span key={l.label} className="legend-line">
              <svg width="14" height="8" viewBox="0 0 14 8" aria-hidden="true">
                <path d="M0 4h14" stroke={`var(${l.color})`} strokeWidth="2" strokeDasharray={l.dash?.join(' ')} />
              </svg>
              {l.label} <b />
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} role="img" aria-label={`${title}, ${unit}: ${summary(lines, format)}`} />
    </figure>
  )
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
  if (clock) clock.textContent = time === undefined ? '' : new Date(time * 1000).toLocaleTimeString('sv')
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
