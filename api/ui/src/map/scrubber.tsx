import { ActionIcon, Button, SegmentedControl, Slider } from '@mantine/core'
import { useDebouncedCallback, useReducedMotion } from '@mantine/hooks'
import { ChevronLeft, ChevronRight, Pause, Pin, Play, X } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { secondOf } from '../lib/format'
import { type Range, rangeEnd, rangeSeconds, rangeStart } from '../lib/range'
import { stepOf } from './moment'
import { nextMoment, paceOf, type Speed, speeds, usePlay } from './play'

interface Props {
  range: Range
  /** The moment that is shown, in Unix seconds; undefined is the end of the range. */
  at: number | undefined
  pin: number | undefined
  /** What the moment shows has arrived. */
  settled: boolean
  onAt: (at: number | undefined, options?: { replace: boolean }) => void
  onPin: (at: number | undefined) => void
}

const agoText = (seconds: number): string =>
  seconds < 90 ? `${seconds} s` : seconds < 5_400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`

/** The time range as a line: the map shows health and numbers as they were at the moment chosen. */
export function Scrubber({ range, at, pin, settled, onAt, onPin }: Props) {
  const end = rangeEnd(range)
  const length = rangeSeconds(range)
  const step = stepOf(length)
  const chosen = at === undefined ? 0 : Math.max(-length, Math.min(0, at - end))
  const [drawn, setDrawn] = useState(chosen) // while the thumb is held
  useEffect(() => setDrawn(chosen), [chosen])
  const momentOf = (value: number) => (value > -step / 2 ? undefined : Math.round((rangeEnd(range) + value) / step) * step)
  const showSoon = useDebouncedCallback((value: number) => onAt(momentOf(value)), 250)
  const [speed, setSpeed] = useState<Speed>('1')
  const calm = useReducedMotion()
  const play = usePlay({
    at,
    range,
    next: (from) => nextMoment(from, rangeStart(range), rangeEnd(range), step),
    every: paceOf(speed, calm),
    settled,
    onAt: (moment) => {
      showSoon.cancel()
      onAt(moment, { replace: true }) // going back leads to what was shown before it played
    },
  })
  usePlayKey(play.toggle)
  const show = (moment: number | undefined) => {
    play.stop()
    showSoon.cancel() // a later choice stands: what the slider passed on its way must not come after it
    onAt(moment)
  }
  const words = (value: number) =>
    value > -step / 2
      ? `${secondOf(end * 1000)}, end of the range`
      : `${secondOf((end + value) * 1000)}, ${agoText(-Math.round(value))} before the end`
  const move = (by: number) => show(momentOf(Math.max(-length, Math.min(0, chosen + by * step))))
  return (
    <fieldset className="map-time">
      <legend className="hidden">Moment</legend>
      <ActionIcon variant="default" size={28} aria-label="One step earlier" onClick={() => move(-1)}>
        <ChevronLeft size={14} aria-hidden="true" />
      </ActionIcon>
      <Slider
        className="map-slider"
        min={-length}
        max={0}
        step={step}
        value={drawn}
        label={null}
        thumbLabel="Moment shown"
        thumbValueText={words(drawn)}
        marks={pin === undefined ? [] : [{ value: Math.max(-length, pin - end) }]}
        onChange={(v) => {
          play.stop()
          setDrawn(v)
          showSoon(v)
        }}
        onChangeEnd={(v) => show(momentOf(v))}
      />
      <ActionIcon variant="default" size={28} aria-label="One step later" disabled={at === undefined} onClick={() => move(1)}>
        <ChevronRight size={14} aria-hidden="true" />
      </ActionIcon>
      <ActionIcon
        variant="default"
        size={28}
        aria-label={play.playing ? 'Pause the replay' : 'Play the range'}
        title={`${play.playing ? 'Pause' : 'Play'} (p)`}
        onClick={play.toggle}
      >
        {play.playing ? <Pause size={14} aria-hidden="true" /> : <Play size={14} aria-hidden="true" />}
      </ActionIcon>
      <SegmentedControl
        aria-label="Speed of the replay"
        value={speed}
        onChange={(v) => setSpeed(v as Speed)}
        data={speeds.map((s) => ({ value: s, label: `${s}×` }))}
        disabled={calm}
        title={calm ? 'Slow, because your system asks for little motion' : undefined}
      />
      <span className="map-time-words">{words(drawn)}</span>
      <Button
        variant="default"
        leftSection={<Pin size={14} aria-hidden="true" />}
        onClick={() => {
          play.stop()
          onPin(at ?? rangeEnd(range))
        }}
        title="Compare this moment with another"
      >
        Pin
      </Button>
      <Button
        variant="default"
        leftSection={<X size={14} aria-hidden="true" />}
        disabled={at === undefined}
        onClick={() => show(undefined)}
      >
        Back to the end
      </Button>
    </fieldset>
  )
}

/** The key p plays and pauses, where nothing is typed. */
function usePlayKey(toggle: () => void) {
  const latest = useRef(toggle)
  latest.current = toggle
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key !== 'p' || e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return
      if ((e.target as Element).closest('input, textarea, select, [contenteditable], [role=dialog]')) return
      e.preventDefault()
      latest.current()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
}
