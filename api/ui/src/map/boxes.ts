import type { Alert, Edge, ServiceHealth } from '../api/types'
import { millis, none, percent, rate } from '../lib/format'
import { failing, type Health, healthOf, healthOrder, healthWord, reasonOf, unhealthy } from '../lib/health'
import { type Changed, type Kind, kindOf, together, wordsOf, worse } from './difference'
import type { GraphNode } from './graph'
import type { DrawnLine, DrawnNode } from './scope'

/** What is known of services and of the time that the calls were counted in. */
export interface Facts {
  health: ReadonlyMap<string, ServiceHealth>
  alerts: ReadonlyMap<string, Alert[]>
  /** Length of that time. */
  seconds: number
  /** Whether the edges have a change. */
  comparing: boolean
}

/** The numbers of requests, or of calls over one edge. */
export interface Numbers {
  rate: number
  share: number
  p95: number
}

/** What a box shows: texts only, so that equal ones are not drawn again. */
export interface BoxState {
  health: Health | undefined
  /** Its type, or how it differs. */
  type: string
  numbers: string[]
  /** The second of the numbers is a share that is red. */
  bad: boolean
  kind: Kind | undefined
  worse: boolean
  title: string
}

export interface LineState {
  bad: boolean
  idle: boolean
  kind: Kind | undefined
  worse: boolean
  width: number
  /** Shown always, if there is any. */
  mark: string
  /** Shown while the line or one of its boxes is looked at. */
  text: string
}

export const typeWords: Record<DrawnNode['type'], string> = {
  service: 'service',
  database: 'database',
  virtual_node: 'not instrumented',
  group: 'namespace',
}

export const healthOfNode = (n: GraphNode, f: Facts): Health => healthOf(f.health.get(n.key), f.alerts.get(n.name))

/** All calls of some edges together; the p95 is that of the slowest. */
export function numbersOf(edges: readonly Edge[], seconds: number): Numbers | undefined {
  let [calls, failed, p95] = [0, 0, 0]
  for (const e of edges) {
    calls += e.calls
    failed += e.failed
    p95 = Math.max(p95, e.server_p95_ms || e.client_p95_ms)
  }
  return calls === 0 ? undefined : { rate: calls / seconds, share: failed / calls, p95 }
}

/** Of a service its incoming requests in the last minute; of what sends no spans, the calls to it. */
function numbersOfNode(n: DrawnNode, incoming: readonly Edge[], f: Facts): Numbers | undefined {
  if (n.type !== 'service') return numbersOf(incoming, f.seconds)
  const now = f.health.get(n.members[0]?.key ?? '')?.now
  return now ? { rate: now.rate, share: now.error_rate, p95: now.p95_ms } : undefined
}

export const numberTexts = (n: Numbers | undefined): string[] =>
  n === undefined ? [none] : [`${rate(n.rate)} /s`, `${percent(n.share)} %`, `${millis(n.p95)} ms`]

export function boxOf(n: DrawnNode, incoming: readonly Edge[], f: Facts): BoxState {
  if (n.type === 'group') return groupBox(n, f)
  const service = n.type === 'service' ? n.members[0] : undefined
  const health = service && !f.comparing ? healthOfNode(service, f) : undefined
  const numbers = numbersOfNode(n, incoming, f)
  const change = f.comparing ? together(incoming) : {}
  const words = wordsOf(change)
  const kind = f.comparing ? kindOf(change) : undefined
  const said = f.comparing ? words : [service && reasonOf(f.health.get(service.key), f.alerts.get(service.name))].filter(Boolean)
  return {
    health,
    type: kind === undefined || kind === 'same' ? typeWords[n.type] : kind,
    numbers: f.comparing ? [mostOf(words) ?? numberTexts(numbersOf(incoming, f.seconds)).join(' ')] : numberTexts(numbers),
    bad: !f.comparing && numbers !== undefined && failing(numbers.share),
    kind,
    worse: worse(change),
    title: `${n.name} (${[health ? healthWord[health] : typeWords[n.type], ...said].join('; ')})`,
  }
}

function groupBox(n: DrawnNode, f: Facts): BoxState {
  const services = n.members.filter((m) => m.type === 'service')
  const healths = services.map((m) => healthOfNode(m, f))
  const worst = healths.reduce<Health>((a, b) => (healthOrder[b] < healthOrder[a] ? b : a), 'ok')
  const sick = healths.filter(unhealthy).length
  const count = services.length === 1 ? '1 service' : `${services.length} services`
  return {
    health: f.comparing ? undefined : worst,
    type: typeWords.group,
    numbers: sick === 0 ? [count] : [count, `${sick} not ok`],
    bad: sick > 0,
    kind: undefined,
    worse: false,
    title: `Namespace ${n.name || 'none'}: ${count}, ${sick} not ok`,
  }
}

/** The one change that is written in the drawing: failures before latency before the rate. */
function mostOf(words: readonly string[]): string | undefined {
  return words.find((w) => w.startsWith('failed')) ?? words.find((w) => w.startsWith('p95')) ?? words[0]
}

export function lineOf(l: DrawnLine, f: Facts): LineState {
  const numbers = numbersOf(l.edges, f.seconds)
  const change: Changed = f.comparing ? together(l.edges) : {}
  const kind = f.comparing ? kindOf(change) : undefined
  const bad = kind === undefined && numbers !== undefined && failing(numbers.share)
  const words = wordsOf(change)
  return {
    bad,
    idle: numbers === undefined && kind !== 'gone',
    kind,
    worse: worse(change),
    width: numbers === undefined ? 1 : Math.min(4, Math.max(1, Math.round(1.5 + Math.log10(numbers.rate)))),
    mark: short(
      kind === undefined ? (bad ? `${percent(numbers?.share ?? 0)} % failed` : '') : (words.find((w) => !w.startsWith('rate')) ?? ''),
    ),
    text: short(
      words.length > 0
        ? (mostOf(words) ?? '')
        : numbers === undefined
          ? 'no calls'
          : bad
            ? `${percent(numbers.share)} %, ${millis(numbers.p95)} ms`
            : `${rate(numbers.rate)}/s, ${millis(numbers.p95)} ms`,
    ),
  }
}

/** Between two columns there is room for little. */
const short = (text: string): string => text.replace(' → ', '→').replace(/ (%|ms|\/s)/g, '$1')

/** States that equal what was shown before are the same objects. */
export function kept<T extends object>(before: ReadonlyMap<string, T>, now: ReadonlyMap<string, T>): Map<string, T> {
  const out = new Map<string, T>()
  for (const [id, state] of now) {
    const old = before.get(id)
    out.set(id, old !== undefined && JSON.stringify(old) === JSON.stringify(state) ? old : state)
  }
  return out
}

/** Nodes in the order of how much they matter: what is not ok with what is one call from it; else the busiest and what is beside them. */
export function importance(nodes: readonly GraphNode[], f: Facts): { unhealthy: string[]; busiest: string[] } {
  const services = nodes.filter((n) => n.type === 'service')
  const sick = services.filter((n) => unhealthy(healthOfNode(n, f)))
  const rateOf = (n: GraphNode) => f.health.get(n.key)?.now?.rate ?? 0
  sick.sort((a, b) => healthOrder[healthOfNode(a, f)] - healthOrder[healthOfNode(b, f)] || rateOf(b) - rateOf(a) || (a.id < b.id ? -1 : 1))
  const busy = [...services].sort((a, b) => rateOf(b) - rateOf(a) || (a.id < b.id ? -1 : 1))
  return { unhealthy: sick.map((n) => n.id), busiest: busy.slice(0, 6).map((n) => n.id) }
}
