import { memo } from 'react'

const width = 96
const height = 20

/** A line of numbers as they went, from zero to the largest. Gaps stay gaps. */
export const Spark = memo(function Spark({ values, label }: { values: readonly (number | null)[] | undefined; label: string }) {
  return (
    <svg className="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      {values && values.length > 1 && <path d={path(values)} />}
    </svg>
  )
})

export function path(values: readonly (number | null)[]): string {
  const top = Math.max(...values.map((v) => v ?? 0)) || 1
  const step = (width - 2) / (values.length - 1)
  let d = ''
  let pen = false
  values.forEach((v, i) => {
    if (v === null) {
      pen = false
      return
    }
    const x = (1 + i * step).toFixed(1)
    const y = (height - 1.5 - (v / top) * (height - 3)).toFixed(1)
    d += `${pen ? 'L' : 'M'}${x} ${y}`
    pen = true
  })
  return d
}
