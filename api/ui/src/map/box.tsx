import { memo } from 'react'
import { Status } from '../components/bits'
import { visible } from '../lib/visible'
import type { BoxState } from './boxes'
import type { DrawnNode } from './scope'

interface Props {
  id: string
  name: string
  type: DrawnNode['type']
  state: BoxState | undefined
  x: number
  y: number
  selected: boolean
  /** What is looked at calls it, or is called by it. */
  beside: boolean
  onChoose: (id: string) => void
  onOver: (id: string | null) => void
}

/** A box of the map: name, health or type, and numbers. */
export const Box = memo(function Box({ id, name, type, state, x, y, selected, beside, onChoose, onOver }: Props) {
  const marks = [
    `map-box map-${type}`,
    state?.health && `map-${state.health}`,
    state?.kind && `map-is-${state.kind}`,
    state?.worse && 'map-worse',
    beside && 'map-beside',
  ]
  return (
    <button
      type="button"
      className={marks.filter(Boolean).join(' ')}
      style={{ left: x, top: y }}
      data-box={id}
      title={visible(state?.title ?? name)}
      aria-pressed={selected}
      onClick={() => onChoose(id)}
      onMouseEnter={() => onOver(id)}
      onMouseLeave={() => onOver(null)}
      onFocus={() => onOver(id)}
      onBlur={() => onOver(null)}
    >
      <span className="map-head">
        <bdi className="map-name">{visible(name) || (type === 'group' ? 'no namespace' : '(empty name)')}</bdi>{' '}
        {state?.health ? <Status health={state.health} /> : <span className="map-type">{state?.type}</span>}
      </span>{' '}
      <span className="map-numbers">
        <span>{state?.numbers[0]}</span> <span className={state?.bad ? 'bad' : undefined}>{state?.numbers[1]}</span>{' '}
        <span>{state?.numbers[2]}</span>
      </span>
    </button>
  )
})
