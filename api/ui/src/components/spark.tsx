import { memo } from 'react'

const width = 96
const height = 20

interface Props {
  values: readonly (number | null)[] | undefined
  label: string
  /** The top of the scale is at least this, so that noise near zero stays flat. */
  least?: number
  tone?: 'bad' | 'slow' | 'quiet' | undefined
}

/** A line of numbers as they went, from zero to the largest. Gaps stay gaps. */
export const Spark = memo(function Spark({ values, label, least = 0, tone }: Props) {
  return (
    <svg
      className={tone ? `spark spark-${tone}` : 'spark'}
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-label={label}
    >
      {values && values.length > 0 && <path d={path(values, least)} />}
    </svg>
  )
})

export function path(values: readonly (number | null)[], least = 0): string {
  let top = least
  for (const v of values) if (v !== null && v > top) top = v
  top ||= 1
  const step = (width - 2) / Math.max(1, values.length - 1)
  let d = ''
  let pen = false
  values.forEach((v, i) => {
    if (v === null) {
      pen = false
      return
    }
    const x = (1 + i * step).toFixed(1)
    const y = (height - 1.5 - (v / top) * (height - 3)).toFixed(1)
    const alone = !pen && (values[i + 1] ?? null) === null
    d += `${pen ? 'L' : 'M'}${x} ${y}${alone ? 'h1.5' : ''}` // a lone point is a dot
    pen = true
  })
  return d
}
