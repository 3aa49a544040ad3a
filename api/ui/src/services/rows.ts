import type { Alert, Deployment, ServiceHealth, ServiceNumbers, ServiceTrend, SLO } from '../api/types'
import { type Health, healthOf, healthOrder, reasonOf, unhealthy } from '../lib/health'
import { serviceKey } from '../live/views'

/** A service as the first page shows it. */
export interface ServiceRow {
  key: string
  service: ServiceHealth
  health: Health
  reason: string
  trend: ServiceTrend | undefined
  /** The newest version that followed another one. */
  deployed: Deployment | undefined
  /** What is left of the error budget of its objectives, the least of them. */
  budget: number | undefined
}

/** What a row shows beside health and trends, by service. */
export interface Around {
  /** By key of the service. */
  deployed: ReadonlyMap<string, Deployment>
  /** By name: objectives know no dimensions. */
  budgets: ReadonlyMap<string, number>
}

export const nothingAround: Around = { deployed: new Map(), budgets: new Map() }

/** The newest deployment of each service. The first version of a service that ever was seen is none. */
export function newestDeployments(list: readonly Deployment[]): Map<string, Deployment> {
  const out = new Map<string, Deployment>()
  for (const d of list) {
    const key = serviceKey({ name: d.service, ...(d.dimensions && { dimensions: d.dimensions }) })
    if (d.before.calls > 0 && !out.has(key)) out.set(key, d) // the list begins with the newest
  }
  return out
}

export function leastBudgets(slos: readonly SLO[]): Map<string, number> {
  const out = new Map<string, number>()
  for (const { service, status } of slos) {
    if (service && status.budget_remaining !== null)
      out.set(service, Math.min(out.get(service) ?? Number.POSITIVE_INFINITY, status.budget_remaining))
  }
  return out
}

export interface GroupRow {
  group: string
  services: number
  unhealthy: number
}

/** Rows keep their identity while nothing that they show has changed. */
export function rowsOf(
  services: readonly ServiceHealth[],
  alerts: ReadonlyMap<string, Alert[]>,
  trends: ReadonlyMap<string, ServiceTrend> | undefined,
  before: ReadonlyMap<string, ServiceRow>,
  around: Around = nothingAround,
): ServiceRow[] {
  return services.map((service) => {
    const key = serviceKey(service)
    const own = alerts.get(service.name)
    const trend = trends?.get(key)
    const old = before.get(key)
    const deployed = around.deployed.get(key)
    const budget = around.budgets.get(service.name)
    const health = healthOf(service, own)
    const same = (r: ServiceRow) =>
      r.service === service && r.trend === trend && r.health === health && r.deployed === deployed && r.budget === budget
    if (old && same(old) && own === undefined) return old
    const reason = reasonOf(service, own)
    if (old && same(old) && old.reason === reason) return old
    return { key, service, health, reason, trend, deployed, budget }
  })
}

export interface Narrow {
  words: string
  onlyUnhealthy: boolean
}

/** Every word is in the name or in a dimension. */
export function narrowRows(rows: readonly ServiceRow[], { words, onlyUnhealthy }: Narrow): readonly ServiceRow[] {
  const list = words.toLowerCase().split(/\s+/).filter(Boolean)
  if (list.length === 0 && !onlyUnhealthy) return rows
  return rows.filter((r) => {
    if (onlyUnhealthy && !unhealthy(r.health)) return false
    const text = [r.service.name, ...Object.values(r.service.dimensions ?? {})].join(' ').toLowerCase()
    return list.every((w) => text.includes(w))
  })
}

const failures = (r: ServiceRow): number => (r.service.now?.rate ?? 0) * (r.service.now?.error_rate ?? 0)

/** Failures in steps of three times as many: rows do not change places for less. */
const impact = (r: ServiceRow): number => Math.floor(Math.log(Math.max(failures(r), 1e-6)) / Math.log(3))

/** What a column sorts by. Of health the worst first, and among equals who fails most calls. */
export const sorts: Record<string, (a: ServiceRow, b: ServiceRow) => number> = {
  health: (a, b) => healthOrder[a.health] - healthOrder[b.health] || (unhealthy(a.health) ? impact(b) - impact(a) : 0),
  service: () => 0,
  rate: byNumber((n) => n.rate),
  failed: byNumber((n) => n.error_rate),
  p95: byNumber((n) => n.p95_ms),
  deployed: (a, b) => compare(a.deployed?.first_seen ?? '', b.deployed?.first_seen ?? ''),
  budget: (a, b) => (b.budget ?? Number.POSITIVE_INFINITY) - (a.budget ?? Number.POSITIVE_INFINITY) || 0,
  seen: (a, b) => compare(a.service.last_seen ?? '', b.service.last_seen ?? ''),
}

function byNumber(value: (n: ServiceNumbers) => number) {
  const of = (r: ServiceRow) => (r.service.now === null ? -1 : value(r.service.now))
  return (a: ServiceRow, b: ServiceRow) => of(a) - of(b)
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const reorderEvery = 5_000

/**
 * Orders rows. Numbers that change all the time reorder them every few seconds at most, so that a row can be read and clicked; a row
 * that comes, goes or changes its health does so at once.
 */
export class Order {
  private by = ''
  private states = new Map<string, Health>()
  private places = new Map<string, number>()
  private at = 0

  /** While the order is held, rows stay where they are although their health changed. Rows that come or go make a new order. */
  sort(rows: readonly ServiceRow[], sort: string, now: number, held = false): ServiceRow[] {
    const same = sort === this.by && rows.length === this.states.size && rows.every((r) => this.states.has(r.key))
    const asHealthy = () => rows.every((r) => this.states.get(r.key) === r.health)
    if (same && (held || (now - this.at < reorderEvery && asHealthy()))) {
      const placed = new Array<ServiceRow>(rows.length)
      for (const r of rows) placed[this.places.get(r.key) ?? 0] = r
      return placed
    }
    const descending = sort.startsWith('-')
    const value = sorts[sort.replace(/^-/, '')] ?? (() => 0)
    const list = [...rows].sort((a, b) => {
      const d = value(a, b) || (sort.endsWith('service') ? compare(a.key, b.key) : 0)
      return (descending ? -d : d) || compare(a.key, b.key)
    })
    this.by = sort
    this.at = now
    this.states = new Map(list.map((r) => [r.key, r.health]))
    this.places = new Map(list.map((r, i) => [r.key, i]))
    return list
  }
}

/** The rows below a head for each value of a dimension: the group with the worst service first, those without a value last. */
export function grouped(rows: readonly ServiceRow[], dimension: string): (ServiceRow | GroupRow)[] {
  const by = new Map<string, ServiceRow[]>()
  for (const r of rows) {
    const value = r.service.dimensions?.[dimension] ?? ''
    const list = by.get(value)
    if (list) list.push(r)
    else by.set(value, [r])
  }
  const worst = (list: ServiceRow[]) => Math.min(...list.map((r) => healthOrder[r.health]))
  return [...by]
    .sort(([a, x], [b, y]) => Number(a === '') - Number(b === '') || worst(x) - worst(y) || compare(a, b))
    .flatMap(([group, list]) => [{ group, services: list.length, unhealthy: list.filter((r) => unhealthy(r.health)).length }, ...list])
}

export const isGroup = (r: ServiceRow | GroupRow): r is GroupRow => 'group' in r

export interface Totals {
  rate: number
  failed: number
  counts: Partial<Record<Health, number>>
  unhealthy: number
}

/** All services of the list together, in the last minute. */
export function totalsOf(rows: readonly ServiceRow[]): Totals {
  const t: Totals = { rate: 0, failed: 0, counts: {}, unhealthy: 0 }
  for (const r of rows) {
    t.rate += r.service.now?.rate ?? 0
    t.failed += failures(r)
    t.counts[r.health] = (t.counts[r.health] ?? 0) + 1
    if (unhealthy(r.health)) t.unhealthy++
  }
  return t
}

/** How much the failed share has grown, in points: +44 pt; nothing where the service is not failing. */
export function shareGrown(s: ServiceHealth): number | undefined {
  if (s.health !== 'failing' || s.now === null || s.before === null) return undefined
  const d = s.now.error_rate - s.before.error_rate
  return d >= 0.005 ? d : undefined
}

/** How many times the p95 of before; nothing where the service is not slower. */
export function timesSlower(s: ServiceHealth): number | undefined {
  if (s.now === null || s.before === null || s.before.p95_ms === 0) return undefined
  const t = s.now.p95_ms / s.before.p95_ms
  return s.health === 'slower' || (s.health === 'failing' && t >= 1.5) ? t : undefined
}
