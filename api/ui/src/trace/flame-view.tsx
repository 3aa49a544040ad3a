import { useCallback, useMemo, useState } from 'react'
import { took } from '../lib/format'
import type { Analysis } from './analysis'
import { everyFlame, type Flame, flameOf, type Placed, placeFlames } from './flame'
import type { SpanTree } from './tree'
import { type Ink, useCanvas } from './use-canvas'

const rowHeight = 20
const narrowest = 1
const tallest = 60 // rows

/** The trace by call path: width is time, however many spans it is made of. The table of spans has the same for those who cannot see it. */
export function FlameGraph({ tree, analysis, services }: { tree: SpanTree; analysis: Analysis; services: ReadonlyMap<string, string> }) {
  const root = useMemo(() => flameOf(tree, analysis), [tree, analysis])
  const [focus, setFocus] = useState(root)
  const [at, setAt] = useState<Flame>()
  const depth = useMemo(() => everyFlame(root).reduce((d, f) => Math.max(d, f.depth), 0), [root])
  const height = Math.min(tallest, depth + 1) * rowHeight
  const draw = useCallback((ink: Ink) => drawFlames(ink, focus, services), [focus, services])
  const { ref, width } = useCanvas(draw, height)
  const placed = useMemo(() => placeFlames(focus, width, narrowest), [focus, width])
  const flameAt = (e: React.MouseEvent): Flame | undefined => {
    const box = e.currentTarget.getBoundingClientRect()
    return hit(placed, e.clientX - box.left, Math.floor((e.clientY - box.top) / rowHeight))
  }
  const shown = at ?? focus
  return (
    <div className="tv-flame">
      <p className="tv-flame-line">
        <span className="tv-flame-text">
          {shown.service && <bdi className="tv-service">{shown.service}</bdi>} <bdi>{shown.operation}</bdi>
        </span>
        <span className="dim">
          {shown.count.toLocaleString('en')} spans, {took(shown.time / 1000)}, self {took(shown.self / 1000)}
          {shown.failed > 0 && <span className="bad">, {shown.failed} failed</span>}
        </span>
        {focus !== root && (
          <button type="button" className="tv-btn" onClick={() => setFocus(root)}>
            Show all
          </button>
        )}
      </p>
      <canvas
        ref={ref}
        height={height}
        role="img"
        aria-label={`Flame graph of ${tree.nodes.length} spans. The tab Spans has the same times as a table.`}
        onMouseMove={(e) => setAt(flameAt(e))}
        onMouseLeave={() => setAt(undefined)}
        onClick={(e) => {
          const f = flameAt(e)
          if (f !== undefined) setFocus(f)
        }}
      />
      {depth + 1 > tallest && <p className="dim">Calls deeper than {tallest} levels are left out. Click a box to begin there.</p>}
    </div>
  )
}

function hit(placed: readonly Placed[], x: number, row: number): Flame | undefined {
  return placed.findLast((p) => p.row === row && x >= p.x && x < p.x + p.width)?.flame
}

function drawFlames({ context, width, height, color }: Ink, focus: Flame, services: ReadonlyMap<string, string>): void {
  context.clearRect(0, 0, width, height)
  context.font = `11px ${color('var(--font)')}`
  context.textBaseline = 'middle'
  for (const p of placeFlames(focus, width, narrowest)) {
    const y = p.row * rowHeight
    if (y >= height) continue
    const above = p.flame.depth < focus.depth
    context.globalAlpha = above ? 0.25 : 0.5
    context.fillStyle = color(p.flame.service === '' ? 'var(--trace-none)' : (services.get(p.flame.service) ?? 'var(--trace-none)'))
    context.fillRect(p.x, y, Math.max(1, p.width - 1), rowHeight - 1)
    context.globalAlpha = 1
    if (p.flame.failed > 0) {
      context.fillStyle = color('var(--c-error)')
      context.fillRect(p.x, y + rowHeight - 3, Math.max(1, p.width - 1), 2)
    }
    if (p.width < 30) continue
    context.save()
    context.beginPath()
    context.rect(p.x, y, p.width - 4, rowHeight)
    context.clip()
    context.fillStyle = color('var(--text)')
    context.fillText(p.flame.service === '' ? p.flame.operation : `${p.flame.service} ${p.flame.operation}`, p.x + 4, y + rowHeight / 2)
    context.restore()
  }
}
