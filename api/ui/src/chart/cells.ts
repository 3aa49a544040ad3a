/** One cell of a heatmap; failed is the part of the count that is drawn red. */
export interface Cell {
  count: number
  failed: number
}

export interface Box {
  left: number
  top: number
  width: number
  height: number
}

/** Cells row by row, the lowest row first. */
export interface Cells {
  columns: number
  rows: number
  cells: readonly Cell[]
  most: number
  /** Where rows begin and end, as shares of the height from below; without it all are of one height. */
  edges?: readonly number[]
}

/** Draws a heatmap into a box. Darker is more, on a logarithmic scale, so that one can be seen beside many. */
export function drawCells(context: CanvasRenderingContext2D, box: Box, of: Cells, color: (name: string) => string, ratio = 1): void {
  const { columns, rows, cells, most, edges } = of
  const [blue, red] = [color('--c-blue'), color('--c-error')]
  const w = box.width / columns
  for (const [i, c] of cells.entries()) {
    if (!(c.count > 0)) continue
    const row = Math.floor(i / columns)
    const bottom = box.top + box.height * (1 - (edges?.[row] ?? row / rows))
    const top = box.top + box.height * (1 - (edges?.[row + 1] ?? (row + 1) / rows))
    const x = box.left + (i % columns) * w
    const gap = bottom - top > 3 * ratio ? ratio : 0
    const tall = Math.max(ratio, bottom - top - gap)
    const wide = Math.max(ratio, w - (w > 3 * ratio ? ratio : 0))
    context.globalAlpha = 0.25 + (0.75 * Math.log1p(c.count)) / Math.log1p(most)
    context.fillStyle = blue
    context.fillRect(x, bottom - gap - tall, wide, tall)
    if (!(c.failed > 0)) continue
    context.globalAlpha = 1
    context.fillStyle = red
    const part = Math.max(2 * ratio, tall * (c.failed / c.count))
    context.fillRect(x, bottom - gap - part, wide, part)
  }
  context.globalAlpha = 1
}
