import type uPlot from 'uplot'
import { type Cells, drawCells } from './cells'

/** A heatmap in the place of a chart's lines, with the chart's axis of time. */
export interface Heat extends Cells {
  times: readonly number[] // Unix seconds, the end of each column
  step: number
  /** Values beside the axis, by their share of the height from below. */
  ticks: { share: number; text: string }[]
  /** What lies at a time and a share of the height: its words, undefined where nothing is. */
  words: (time: number, share: number) => string | undefined
}

/** The part of an axis, a scale and a series that a heatmap needs. */
export const heatScale: uPlot.Scale = { range: () => [0, 1] }

export const heatAxis = (of: () => Heat | undefined): uPlot.Axis => ({
  splits: () => (of()?.ticks ?? []).map((t) => t.share),
  values: () => (of()?.ticks ?? []).map((t) => t.text),
  grid: { show: false },
})

export function drawHeat(u: uPlot, heat: Heat | undefined, color: (name: string) => string): void {
  if (heat === undefined || heat.columns === 0 || heat.rows === 0) return
  const { ctx, bbox } = u
  const left = u.valToPos((heat.times[0] ?? 0) - heat.step, 'x', true)
  const right = u.valToPos(heat.times.at(-1) ?? 0, 'x', true)
  ctx.save()
  ctx.beginPath()
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
  ctx.clip()
  drawCells(ctx, { left, top: bbox.top, width: right - left, height: bbox.height }, heat, color, devicePixelRatio)
  ctx.restore()
}

/** The words of the cell under the pointer, beside it. */
export function placeTip(u: uPlot, tip: HTMLElement | null, heat: Heat | undefined): void {
  if (tip === null) return
  const { left = -1, top = -1, event } = u.cursor
  // The cursor of another chart has a time and no value of this one.
  const own = heat !== undefined && left >= 0 && top >= 0 && event != null
  const text = own ? heat.words(u.posToVal(left, 'x'), 1 - top / u.over.clientHeight) : undefined
  tip.hidden = text === undefined
  if (text === undefined) return
  tip.textContent = text
  const right = left > u.over.clientWidth / 2
  tip.style.left = right ? '' : `${u.over.offsetLeft + left + 12}px`
  tip.style.right = right ? `${u.root.clientWidth - u.over.offsetLeft - left + 12}px` : ''
  tip.style.top = `${u.over.offsetTop + Math.max(0, Math.min(u.over.clientHeight - 28, top - 32))}px`
}
