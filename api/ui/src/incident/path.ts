import type { PathEdge, Why } from '../api/types'

/** One call on the way to the cause: as it was before, when the alert fired, and now. */
export interface PathRow {
  key: string
  edge: PathEdge
  atFiring: PathEdge | undefined
  now: PathEdge | undefined
  /** It is as before: the cause is not there. */
  cleared: boolean
}

const keyOf = (e: PathEdge) => JSON.stringify([e.client, e.server, e.connection_type])

/** The calls of the evidence, those with the largest share first, then those that are as before. */
export function pathRows(atFiring: Why | undefined, latest: Why | undefined): PathRow[] {
  const rows = new Map<string, PathRow>()
  const add = (list: readonly PathEdge[] | undefined, when: 'atFiring' | 'now', cleared: boolean) => {
    for (const edge of list ?? []) {
      const key = keyOf(edge)
      const row = rows.get(key) ?? { key, edge, atFiring: undefined, now: undefined, cleared }
      rows.set(key, { ...row, [when]: edge, edge: when === 'now' && !cleared ? edge : row.edge, cleared: row.cleared && cleared })
    }
  }
  add(atFiring?.path, 'atFiring', false)
  add(latest?.path, 'now', false)
  add(atFiring?.cleared, 'atFiring', true)
  add(latest?.cleared, 'now', true)
  return [...rows.values()].sort((a, b) => Number(a.cleared) - Number(b.cleared) || b.edge.score - a.edge.score)
}

/** A box of the way from the service of the alert to the cause. */
export interface Stop {
  name: string
  edge: PathEdge | undefined // of the calls that arrive there
  cause: boolean
}

/** The shortest way over the calls of the evidence to its cause; the cause alone where there is none. */
export function wayToCause(why: Why | undefined): Stop[] {
  const cause = why?.cause
  if (why === undefined || cause === undefined) return []
  const entry = (name: string) => why.path.find((e) => e.server === name && e.client === '')
  const best = why.path.find((e) => e.server === cause.name)
  const last: Stop = { name: cause.name, edge: best, cause: true }
  if (why.service === '' || why.service === cause.name) return [last]
  const seen = new Set([why.service])
  let ways: Stop[][] = [[{ name: why.service, edge: entry(why.service), cause: false }]]
  while (ways.length > 0) {
    const next: Stop[][] = []
    for (const way of ways) {
      for (const e of why.path) {
        if (e.client !== way.at(-1)?.name || seen.has(e.server)) continue
        seen.add(e.server)
        const longer = [...way, { name: e.server, edge: e, cause: e.server === cause.name }]
        if (e.server === cause.name) return longer
        next.push(longer)
      }
    }
    ways = next
  }
  return [{ name: why.service, edge: entry(why.service), cause: false }, last]
}
