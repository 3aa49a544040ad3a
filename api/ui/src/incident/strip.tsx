import { useLayoutEffect, useMemo, useRef, useState } from 'react'
import type { Incident } from '../api/types'
import { useNow } from '../components/bits'
import { absolute, clock } from '../lib/format'
import { labelRows, momentsOf, stretchOf } from './timeline'

const letter = 6.6 // pixels, in the size of the labels

/** The incident as a strip of time: what happened when. */
export function Strip({ incident: i }: { incident: Incident }) {
  const box = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(800)
  const now = useNow()
  useLayoutEffect(() => {
    const host = box.current
    if (host === null) return
    const observer = new ResizeObserver(() => setWidth(host.clientWidth))
    observer.observe(host)
    return () => observer.disconnect()
  }, [])
  const moments = useMemo(() => momentsOf(i, now), [i, now])
  const [from, to] = stretchOf(moments)
  const place = (t: number) => ((t - from) / (to - from)) * 100
  const texts = moments.map((m) => `${clock(new Date(m.time).toISOString())} ${m.text}`)
  const widths = texts.map((t) => t.length * letter + 12)
  const lefts = moments.map((m, n) => Math.max(0, Math.min((place(m.time) / 100) * width, width - (widths[n] ?? 0))))
  const rows = labelRows(lefts, widths)
  const fired = Date.parse(i.incident.fired_at)
  const end = i.incident.resolved_at === null ? now : Date.parse(i.incident.resolved_at)
  return (
    <section className="card incident-strip" aria-label="Timeline">
      <div className="incident-line" ref={box}>
        <span className="incident-firing" style={{ left: `${place(fired)}%`, width: `${Math.max(0.3, place(end) - place(fired))}%` }} />
        {moments.map((m) => (
          <span key={`${m.kind}${m.time}`} className={`incident-tick tick-${m.kind}`} style={{ left: `${place(m.time)}%` }} />
        ))}
      </div>
      <ol style={{ height: `${(Math.max(...rows, 0) + 1) * 18}px` }}>
        {moments.map((m, n) => (
          <li key={`${m.kind}${m.time}`} style={{ left: `${lefts[n]}px`, top: `${(rows[n] ?? 0) * 18}px` }}>
            <time dateTime={new Date(m.time).toISOString()} title={absolute(new Date(m.time).toISOString())}>
              {clock(new Date(m.time).toISOString())}
            </time>{' '}
            <bdi>{m.text}</bdi>
          </li>
        ))}
      </ol>
    </section>
  )
}
