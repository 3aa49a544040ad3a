import { useCallback, useEffect, useRef, useState } from 'react'

export const speeds = ['1', '2', '4'] as const
export type Speed = (typeof speeds)[number]

const pace = 1_000 // ms for a step at the lowest speed
const calmPace = 2_000 // for who wants little motion, whatever the speed

/** How long a moment stays. */
export const paceOf = (speed: Speed, calm: boolean): number => (calm ? calmPace : pace / Number(speed))

/** The moment that follows: the begin of the range after its end, undefined at the end. All in Unix seconds. */
export function nextMoment(at: number | undefined, start: number, end: number, step: number): number | undefined {
  const next = at === undefined ? Math.ceil(start / step) * step : at + step
  return next > end - step / 2 ? undefined : next
}

interface Options {
  at: number | undefined
  /** What has to be as it is while it plays. */
  range: string
  next: (at: number | undefined) => number | undefined
  /** Milliseconds for which a moment stays. */
  every: number
  /** The moment is shown: the next one does not come before. */
  settled: boolean
  onAt: (at: number | undefined) => void
}

/** Goes from moment to moment until the end of the range, a pause, or a moment that someone else chose. */
export function usePlay({ at, range, next, every, settled, onAt }: Options): { playing: boolean; toggle: () => void; stop: () => void } {
  const [playing, setPlaying] = useState(false)
  const latest = useRef({ next, onAt })
  latest.current = { next, onAt }
  const own = useRef({ from: at, at, range }) // the moment before, and the one that was asked for
  const stop = useCallback(() => setPlaying(false), [])
  const go = useCallback((from: number | undefined, within: string) => {
    const to = latest.current.next(from)
    own.current = { from, at: to, range: within }
    if (to === undefined) setPlaying(false)
    latest.current.onAt(to)
  }, [])
  const toggle = () => {
    if (playing) return setPlaying(false)
    setPlaying(true)
    go(at, range)
  }
  useEffect(() => {
    if (!playing) return
    const arrived = own.current.at === at
    if (own.current.range !== range || !(arrived || own.current.from === at)) {
      setPlaying(false)
      return
    }
    if (!settled || !arrived) return
    const t = setTimeout(() => go(at, range), every)
    return () => clearTimeout(t)
  }, [playing, at, range, settled, every, go])
  return { playing, toggle, stop }
}
