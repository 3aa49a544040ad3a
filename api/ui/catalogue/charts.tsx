import { useState } from 'react'
import { Chart, type Line } from '../src/chart/chart'
import type { Heat } from '../src/chart/heat'
import { sig3 } from '../src/lib/format'
import { at } from './still'

const end = at / 1000
const step = 30
const times = Array.from({ length: 61 }, (_, n) => end - (60 - n) * step)
const span: [number, number] = [times[0] ?? 0, end]
const wave = (top: number, phase: number) => times.map((_, n) => top * (1 + 0.4 * Math.sin(n / 5 + phase)))

const rates: Line[] = [
  { label: 'requests', color: '--c-blue', values: wave(12, 0), fill: true },
  { label: 'failed', color: '--c-error', values: wave(3, 2).map((v, n) => (n > 40 ? v : n > 30 && n < 35 ? null : 0.1)) },
  { label: 'the hour before', color: '--dim', dash: [4, 4], values: wave(10, 1) },
]
const severities: Line[] = ['--c-debug', '--c-sky', '--c-orange', '--c-error'].map((color, n) => ({
  label: ['debug', 'info', 'warn', 'error'][n] ?? '',
  color,
  values: wave(40 / (n + 1), n),
}))
const share: Line[] = [
  { label: 'value', color: '--c-error', values: times.map((_, n) => (n > 38 ? 0.3 + 0.05 * Math.sin(n) : 0.01)), fill: true },
]

const columns = 30
const lanes = 8
const heat: Heat = {
  columns,
  rows: lanes,
  cells: Array.from({ length: columns * lanes }, (_, i) => {
    const [x, y] = [i % columns, Math.floor(i / columns)]
    const count = Math.max(0, Math.round(40 - 12 * Math.abs(y - 2 - Math.sin(x / 4))))
    return { count, failed: x > 20 && y > 4 ? 6 : 0 }
  }),
  most: 40,
  times: Array.from({ length: columns }, (_, n) => end - (columns - 1 - n) * 60),
  step: 60,
  ticks: [
    { share: 0, text: '1 ms' },
    { share: 0.5, text: '30 ms' },
    { share: 1, text: '1 s' },
  ],
  words: () => undefined,
}

export function Charts() {
  const [value, setValue] = useState(0.2)
  const deployed = [{ time: end - 600, label: 'payment 1.5.0' }]
  return (
    <div className="catalogue-grid">
      <Chart title="Requests" unit="/s" times={times} lines={rates} format={sig3} span={span} marks={deployed} />
      <Chart title="Lines by severity" unit="/s" times={times} lines={severities} format={sig3} span={span} stacked />
      <Chart
        title="Threshold"
        unit=""
        times={times}
        lines={share}
        format={sig3}
        span={span}
        bands={[{ from: end - 600, to: end - 100, color: '--firing-bg' }]}
        threshold={{ value: 0.25, op: '>', format: sig3 }}
      />
      <Chart
        title="Threshold to be moved"
        unit=""
        times={times}
        lines={share}
        format={sig3}
        span={span}
        threshold={{ value, op: '>', format: sig3, onChange: setValue }}
      />
      <Chart title="Durations" unit="ms" times={times} lines={[]} format={sig3} span={span} heat={heat} />
      <Chart title="No data" unit="ms" times={[]} lines={rates.map((l) => ({ ...l, values: [] }))} format={sig3} span={span} />
    </div>
  )
}
