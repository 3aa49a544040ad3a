import type { Gap } from './layout'

export interface WantedLabel {
  id: string
  text: string
  way: readonly Gap[]
  /** Beside which end of its line it stands best. */
  near: 'from' | 'to'
}
export interface PlacedLabel {
  id: string
  text: string
  x: number
  y: number
}

const letter = 6.6 // pixels, at most, in the size of the labels
const height = 17
const along = [0.7, 0.5, 0.85, 0.3, 0.15]

export const labelWidth = (text: string): number => text.length * letter + 8

/**
 * Labels stand on their lines in the free space between two columns of boxes, so none covers a box, and none covers another. One that
 * finds no room is left out: the panel and the table have its numbers.
 */
export function placeLabels(wanted: readonly WantedLabel[]): PlacedLabel[] {
  const placed: PlacedLabel[] = []
  const free = (x: number, y: number, half: number) =>
    placed.every((p) => Math.abs(p.x - x) >= half + labelWidth(p.text) / 2 || Math.abs(p.y - y) >= height)
  for (const w of wanted) {
    const half = labelWidth(w.text) / 2
    const gaps = w.near === 'to' ? [...w.way].reverse() : w.way
    const spot = gaps.flatMap((g) => along.map((t) => pointOf(g, w.near === 'to' ? t : 1 - t, half))).find((p) => p && free(p.x, p.y, half))
    if (spot) placed.push({ id: w.id, text: w.text, ...spot })
  }
  return placed
}

/** A point of the line within a gap, where a label so wide fits between the columns. */
function pointOf([x1, y1, x2, y2]: Gap, t: number, half: number): { x: number; y: number } | undefined {
  const [left, right] = [Math.min(x1, x2) + half, Math.max(x1, x2) - half]
  if (left > right) return undefined
  const s = 1 - t
  const mid = (x1 + x2) / 2
  const x = s ** 3 * x1 + 3 * s * t * mid + t ** 3 * x2
  const y = (s ** 3 + 3 * s * s * t) * y1 + (3 * s * t * t + t ** 3) * y2
  return { x: Math.min(right, Math.max(left, x)), y }
}
