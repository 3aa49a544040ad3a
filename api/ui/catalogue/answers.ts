import type { Incident } from '../src/api/types'
import recorded from './data/incident.json'
import { at, before } from './still'

export const incident = recorded as unknown as Incident

const meta = { lag_ms: 340, partial: false, since: before(7200), source: 'view', up_to: before(1), view_version: 0, warnings: [] }

export const resolved = [
  { title: 'payment fails 21.9 % of Charge', minutes: 42, lasted: 6, cause: 'payment', names: ['ErrorsInService'] },
  { title: 'search is slow: p95 of GET /search is 1.2 s', minutes: 190, lasted: 24, cause: 'search', names: ['SlowService'] },
  { title: 'cart failed 31 times within a minute', minutes: 1500, lasted: 2, cause: null, names: ['ErrorsInService'] },
].map((r, n) => ({
  ...incident.incident,
  id: `resolved-${n}`,
  title: r.title,
  cause: r.cause,
  names: r.names,
  state: 'resolved',
  since: before(60 * (r.minutes + r.lasted)),
  fired_at: before(60 * (r.minutes + r.lasted)),
  resolved_at: before(60 * r.minutes),
}))

/** A rise from nothing, as the alert of the incident saw it. */
function matrix(query: URLSearchParams) {
  const [start, end, step] = ['start', 'end', 'step'].map((n) => Number(query.get(n))) as [number, number, number]
  const values: [number, string][] = []
  const begin = Date.parse(incident.incident.since) / 1000
  for (let t = start; t <= Math.min(end, at / 1000); t += step) {
    const v = t < begin ? 1 + (t % 3) : Math.min(34, 2 + (t - begin) / 4) + ((t / 5) % 4)
    values.push([t, v.toFixed(2)])
  }
  return { status: 'success', data: { resultType: 'matrix', result: [{ metric: incident.members[0]?.labels ?? {}, values }] } }
}

export const list = (incidents: unknown[]) => ({ incidents, total: incidents.length, meta })
export const rulesOf = (n: number) => ({ rules: Array.from({ length: n }, (_, i) => ({ id: `${i}`, name: `Rule ${i}` })), total: n, meta })

const value = (v: string, spans: number, failed: number) => ({ value: v, spans, failed, condition: '' })
const facet = (key: string, ...values: ReturnType<typeof value>[]) => ({
  scope: 'span',
  key,
  spans: 1200,
  distinct: 2,
  overflow: 0,
  values,
})
const analysis = {
  spans: 1200,
  failed: 200,
  sampled: true,
  read_share: 0.4,
  facets: [facet('app.currency', value('EUR', 400, 180)), facet('rpc.method', value('Charge', 1200, 200))],
  meta,
}

export const slosOf = (budgets: number[]) => ({
  slos: budgets.map((budget_remaining, n) => ({ id: `${n}`, name: `Objective ${n}`, status: { budget_remaining } })),
  total: budgets.length,
  meta,
})

const me = { authentication: true, expires_at: null, local: true, login: true, name: 'ada', oidc: false, role: 'admin' }

function body(path: string, query: URLSearchParams): unknown {
  if (path === '/api/v1/incidents') return list(query.get('state') === 'open' ? [incident.incident] : resolved)
  if (path === `/api/v1/incidents/${incident.incident.id}`) return incident
  if (path === '/prometheus/api/v1/query_range') return matrix(query)
  if (path === '/api/v1/auth/me') return me
  if (path === '/api/v1/alerts') return rulesOf(3)
  if (path === '/api/v1/spans/analysis') return analysis
  if (path === '/api/v1/slos') return slosOf([0.42, 0.981])
  return undefined
}

export async function answer(input: RequestInfo | URL): Promise<Response> {
  const url = new URL(input instanceof Request ? input.url : String(input), window.location.href)
  const of = body(url.pathname, url.searchParams)
  if (of === undefined) console.error(`The catalogue has no answer for ${url.pathname}.`)
  return new Response(JSON.stringify(of ?? {}), { status: of === undefined ? 404 : 200, headers: { 'Content-Type': 'application/json' } })
}
