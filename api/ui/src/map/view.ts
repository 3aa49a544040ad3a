import { boxHeight, boxWidth, type Positions } from './layout'

/** Which part of the plane is seen, and how large: a point of it times `k`, plus `x` and `y`, is its place on the screen. */
export interface View {
  x: number
  y: number
  k: number
}
export interface Size {
  width: number
  height: number
}
export interface Frame {
  left: number
  top: number
  right: number
  bottom: number
}

/** The smallest text of a box has 12 pixels; drawn smaller than 11 it is left out. */
export const textZoom = 11 / 12
export const leastZoom = 0.08
export const mostZoom = 2
const usualZoom = 1.1
const margin = 12

export function frameOf(ids: readonly string[], at: Positions): Frame | undefined {
  let f: Frame | undefined
  for (const id of ids) {
    const p = at[id]
    if (p === undefined) continue
    f = {
      left: Math.min(f?.left ?? p.x, p.x),
      top: Math.min(f?.top ?? p.y, p.y),
      right: Math.max(f?.right ?? p.x, p.x + boxWidth),
      bottom: Math.max(f?.bottom ?? p.y, p.y + boxHeight),
    }
  }
  return f
}

/** How large a frame can be drawn. */
function zoomFor(f: Frame, s: Size): number {
  return Math.min((s.width - 2 * margin) / (f.right - f.left), (s.height - 2 * margin) / (f.bottom - f.top))
}

/**
 * The first view: everything where its text can be read, else those that matter, the first of them in any case. Text is never made
 * too small to read.
 */
export function firstView(first: readonly string[], at: Positions, s: Size): View {
  const all = frameOf(Object.keys(at), at)
  if (all === undefined) return { x: 0, y: 0, k: 1 }
  const some = frameOf(first, at) ?? all
  const fits = zoomFor(all, s) >= textZoom
  const f = fits ? all : some
  const k = Math.max(textZoom, Math.min(usualZoom, zoomFor(f, s)))
  const anchor = frameOf(first.slice(0, 1), at) ?? f
  return centered(zoomFor(f, s) >= textZoom ? f : anchor, f, k, s)
}

/** Shows the middle of `f`, but no empty space beside `around` where that is larger than the screen. */
function centered(f: Frame, around: Frame, k: number, s: Size): View {
  const axis = (from: number, to: number, low: number, high: number, length: number) => {
    const at = length / 2 - (k * (from + to)) / 2
    if (k * (high - low) + 2 * margin <= length) return length / 2 - (k * (low + high)) / 2
    return Math.min(margin - k * low, Math.max(length - margin - k * high, at))
  }
  return { x: axis(f.left, f.right, around.left, around.right, s.width), y: axis(f.top, f.bottom, around.top, around.bottom, s.height), k }
}

/** Moved as little as shows the box whole, at a size that can be read if `readable`. */
export function revealing(v: View, id: string, at: Positions, s: Size, readable = false): View {
  const f = frameOf([id], at)
  if (f === undefined) return v
  const k = readable ? Math.max(v.k, textZoom) : v.k
  if (k !== v.k) return centered(f, frameOf(Object.keys(at), at) ?? f, k, s)
  const axis = (o: number, low: number, high: number, length: number) => {
    const [a, b] = [k * low + o, k * high + o]
    return a < margin ? o + margin - a : b > length - margin ? o - (b - length + margin) : o
  }
  return { x: axis(v.x, f.left, f.right, s.width), y: axis(v.y, f.top, f.bottom, s.height), k }
}

/** When boxes change their places, the one nearest to the middle stays where it is on the screen. */
export function steady(v: View, s: Size, before: Positions, now: Positions): View {
  let [best, least] = ['', Number.POSITIVE_INFINITY]
  for (const [id, p] of Object.entries(before)) {
    const far = Math.abs(p.x * v.k + v.x - s.width / 2) + Math.abs(p.y * v.k + v.y - s.height / 2)
    if (now[id] !== undefined && far < least) [best, least] = [id, far]
  }
  const [a, b] = [before[best], now[best]]
  return a && b ? { ...v, x: v.x + (a.x - b.x) * v.k, y: v.y + (a.y - b.y) * v.k } : v
}

/** Larger or smaller around a point of the screen. */
export function zoomed(v: View, by: number, x: number, y: number): View {
  const k = Math.min(mostZoom, Math.max(leastZoom, v.k * by))
  const f = k / v.k
  return { x: x - (x - v.x) * f, y: y - (y - v.y) * f, k }
}

/** The part of the plane that is seen. */
export const seen = (v: View, s: Size): Frame => ({
  left: -v.x / v.k,
  top: -v.y / v.k,
  right: (s.width - v.x) / v.k,
  bottom: (s.height - v.y) / v.k,
})

/** The next box in a direction: the nearest, where what is aside counts double. */
export function nextBox(id: string, key: string, at: Positions): string | undefined {
  const from = at[id]
  const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key]
  if (from === undefined || way === undefined) return undefined
  const [wx = 0, wy = 0] = way
  let best: [string, number] | undefined
  for (const [other, p] of Object.entries(at)) {
    const [dx, dy] = [p.x - from.x, p.y - from.y]
    const ahead = dx * wx + dy * wy
    const aside = Math.abs(dx * wy) + Math.abs(dy * wx)
    if (ahead <= 1 || (wx !== 0 && aside > 2 * ahead + boxHeight)) continue
    if (wy !== 0 && aside > boxWidth / 2) continue
    const far = ahead + 2 * aside
    if (best === undefined || far < best[1]) best = [other, far]
  }
  return best?.[0]
}
