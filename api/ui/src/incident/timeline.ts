import type { Incident } from '../api/types'

export type MomentKind = 'deployment' | 'since' | 'fired' | 'notified' | 'acknowledged' | 'resolved' | 'now'

export interface Moment {
  time: number // ms
  kind: MomentKind
  text: string
}

/** What happened around an incident, in order: its strip shows these. Several of one kind within two seconds are one. */
export function momentsOf(i: Incident, now: number): Moment[] {
  const out: Moment[] = []
  const add = (time: string | null | undefined, kind: MomentKind, text: string) => {
    if (time) out.push({ time: Date.parse(time), kind, text })
  }
  const evidence = i.latest ?? i.at_firing
  for (const d of evidence?.deployments ?? []) add(d.first_seen, 'deployment', `${d.service} ${d.version} deployed`)
  add(i.incident.since, 'since', i.incident.cause === null ? 'condition true' : 'first failure')
  add(i.incident.fired_at, 'fired', 'fires')
  const first = i.deliveries.find((d) => d.error === null && !d.resolved)
  add(first?.time, 'notified', `${first?.receiver} notified`)
  add(i.incident.acknowledged?.at, 'acknowledged', `${i.incident.acknowledged?.by} acknowledged`)
  if (i.incident.resolved_at === null) out.push({ time: now, kind: 'now', text: 'now' })
  else add(i.incident.resolved_at, 'resolved', 'resolved')
  const sorted = out.sort((a, b) => a.time - b.time)
  return sorted.filter((m, n) => {
    const before = sorted[n - 1]
    return before === undefined || before.kind !== m.kind || m.time - before.time > 2000
  })
}

/** The stretch of the strip: from a tenth of its length before the first moment to the end. */
export function stretchOf(moments: readonly Moment[]): [number, number] {
  const first = moments[0]?.time ?? 0
  const last = Math.max(moments.at(-1)?.time ?? 0, first + 60_000)
  return [first - (last - first) / 10, last]
}

/** Rows for the labels under the strip, so that none covers another: for each moment the first row that has room. */
export function labelRows(places: readonly number[], widths: readonly number[]): number[] {
  const ends: number[] = []
  return places.map((x, i) => {
    let row = ends.findIndex((end) => end <= x)
    if (row < 0) row = ends.length
    ends[row] = x + (widths[i] ?? 0)
    return row
  })
}
