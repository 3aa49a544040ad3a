import type { Tag } from '../api/types'
import { valueText } from '../lib/format'
import type { SpanNode, SpanTree } from './tree'

const texts = new WeakMap<SpanTree, string[]>()
const end = '\u0000'

/** What a span can be found by: service, operation, id and `key=value` of attributes, of events and of its process. */
function textOf(n: SpanNode, process: string): string {
  const parts = [n.service, n.span.operationName, n.span.spanID]
  for (const t of n.span.tags) parts.push(pair(t))
  for (const l of n.span.logs) for (const t of l.fields) parts.push(pair(t))
  return (parts.join(end) + end + process).toLowerCase()
}

const pair = (t: Tag): string => `${t.key}=${valueText(t.value)}`

/** The spans that contain a text, whatever its case, as their places in the tree. Nothing is found by nothing. */
export function findSpans(tree: SpanTree, processes: Record<string, { tags: Tag[] }>, text: string): number[] {
  const wanted = text.trim().toLowerCase()
  if (wanted === '') return []
  let known = texts.get(tree)
  if (known === undefined) {
    const byProcess = new Map(Object.entries(processes).map(([id, p]) => [id, p.tags.map(pair).join(end)]))
    known = tree.nodes.map((n) => textOf(n, byProcess.get(n.span.processID) ?? ''))
    texts.set(tree, known)
  }
  const out: number[] = []
  for (let i = 0; i < known.length; i++) if (known[i]?.includes(wanted)) out.push(i)
  return out
}
