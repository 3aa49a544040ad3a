import { downloadBlob } from '../lib/download'

interface Named {
  label: string
  color: string
  dash?: number[]
}

const margin = 12
const line = 18

/** A file's name from a title. */
export const fileName = (title: string, ending: string): string =>
  `${title.replace(/[^\p{L}\p{N}._-]+/gu, ' ').trim() || 'chart'}.${ending}`

/** How names of lines fill rows of a width: each with its place from the left and its row. */
export function placesOf(widths: readonly number[], width: number): { x: number; row: number }[] {
  let [x, row] = [0, 0]
  return widths.map((w) => {
    if (x > 0 && x + w > width) {
      x = 0
      row++
    }
    const at = { x, row }
    x += w
    return at
  })
}

/** Saves a chart as it is drawn, with its title above and the names of its lines below. */
export function savePNG(plot: HTMLCanvasElement, title: string, lines: readonly Named[]): void {
  const ratio = window.devicePixelRatio || 1
  const css = getComputedStyle(document.documentElement)
  const color = (name: string) => css.getPropertyValue(name).trim()
  const family = getComputedStyle(document.body).fontFamily
  const width = plot.width / ratio
  const canvas = document.createElement('canvas')
  const context = canvas.getContext('2d')
  if (context === null) return
  context.font = `12px ${family}`
  const shown = lines.slice(0, 60)
  const places = placesOf(
    shown.map((l) => context.measureText(l.label).width + 36),
    width,
  )
  const rows = shown.length === 0 ? 0 : (places.at(-1)?.row ?? 0) + 1
  const tall = plot.height / ratio
  canvas.width = Math.round((width + 2 * margin) * ratio)
  canvas.height = Math.round((tall + 2 * margin + 24 + rows * line) * ratio)
  context.scale(ratio, ratio)
  context.fillStyle = color('--panel')
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.fillStyle = color('--text')
  context.textBaseline = 'middle'
  context.font = `600 13px ${family}`
  context.fillText(title, margin, margin + 8, width)
  context.drawImage(plot, margin, margin + 24, width, tall)
  context.font = `12px ${family}`
  for (const [i, l] of shown.entries()) {
    const at = places[i] as { x: number; row: number }
    const [x, y] = [margin + at.x, margin + 24 + tall + at.row * line + line / 2]
    context.strokeStyle = color(l.color)
    context.lineWidth = 2
    context.setLineDash(l.dash ?? [])
    context.beginPath()
    context.moveTo(x, y)
    context.lineTo(x + 14, y)
    context.stroke()
    context.fillStyle = color('--text')
    context.fillText(l.label, x + 20, y, width - 20)
  }
  canvas.toBlob((blob) => blob && downloadBlob(fileName(title, 'png'), blob), 'image/png')
}
