import { memo } from 'react'
import type { LineState } from './boxes'

interface Props {
  id: string
  d: string
  state: LineState | undefined
  /** It, or one of its boxes, is looked at. */
  near: boolean
  dimmed: boolean
  onOver: (id: string | null) => void
}

/** The calls from one box to another, with a wider path that takes the pointer. */
export const Line = memo(function Line({ id, d, state, near, dimmed, onOver }: Props) {
  const tone = state?.kind ? `map-line-${state.kind}` : state?.bad ? 'map-line-bad' : state?.idle ? 'map-line-idle' : ''
  const end = state?.kind && state.kind !== 'same' ? state.kind : state?.bad ? 'bad' : 'plain'
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: what it shows is in the panel of either box and in the table
    <g
      className={`map-line ${tone}${near ? ' map-near' : ''}${dimmed ? ' map-dimmed' : ''}`}
      onMouseEnter={() => onOver(id)}
      onMouseLeave={() => onOver(null)}
    >
      <path className="map-reach" d={d} />
      <path className="map-way" d={d} strokeWidth={state?.width ?? 1} markerEnd={`url(#map-end-${end})`} />
    </g>
  )
})

const ends = ['plain', 'bad', 'added', 'gone', 'changed'] as const

/** The heads of arrows, one for each colour. */
export function Ends() {
  return (
    <defs>
      {ends.map((e) => (
        <marker
          key={e}
          id={`map-end-${e}`}
          className={`map-end map-end-${e}`}
          viewBox="0 0 8 8"
          refX="8"
          refY="4"
          markerWidth="8"
          markerHeight="8"
          markerUnits="userSpaceOnUse"
          orient="auto"
        >
          <path d="M0 0 8 4 0 8z" />
        </marker>
      ))}
    </defs>
  )
}
