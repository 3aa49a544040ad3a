import type { Edge } from '../api/types'
import { failing, unhealthy } from '../lib/health'
import { type Facts, healthOfNode } from './boxes'
import { kindOf } from './difference'
import type { Graph } from './graph'

export interface Narrow {
  words: string
  /** Only edges that fail or that lead to or from a service that is not ok. */
  bad: boolean
  /** No edges of services without requests in the last minute, and none without calls at the moment. */
  busy: boolean
  /** When comparing: only edges that changed. */
  changed: boolean
}

/** The edges that are shown. */
export function narrowEdges(graph: Graph, by: Narrow, facts: Facts): Edge[] {
  const words = by.words.toLowerCase().split(/\s+/).filter(Boolean)
  const nodes = new Map(graph.shown.map((n) => [n.id, n]))
  const state = new Map<string, { sick: boolean; idle: boolean }>()
  const stateOf = (id: string) => {
    let s = state.get(id)
    const n = nodes.get(id)
    if (s === undefined && n !== undefined) {
      const judged = facts.health.get(n.key)
      s = {
        sick: n.type === 'service' && unhealthy(healthOfNode(n, facts)),
        idle: n.type === 'service' && judged !== undefined && judged.health === 'no_data',
      }
      state.set(id, s)
    }
    return s
  }
  return graph.lines.flatMap(({ from, to, edge: e }) => {
    const text = `${e.client} ${e.server}`.toLowerCase()
    if (!words.every((w) => text.includes(w))) return []
    if (by.bad && !(e.calls > 0 && failing(e.failed / e.calls)) && !stateOf(to)?.sick && !stateOf(from)?.sick) return []
    if (by.busy && ((e.calls === 0 && kindOf(e) !== 'gone') || stateOf(from)?.idle || stateOf(to)?.idle)) return []
    if (by.changed && kindOf(e) === 'same') return []
    return [e]
  })
}
