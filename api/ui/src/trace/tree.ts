import type { Span, Trace } from '../api/types'

export interface SpanNode {
  /** Its place in `SpanTree.nodes`. */
  index: number
  span: Span
  service: string
  depth: number
  parent: SpanNode | undefined
  children: SpanNode[]
  /** How many spans are below it, at any depth. */
  below: number
  failed: boolean
  /** It failed, and nothing below it did. */
  origin: boolean
  kind: Kind
  /** Microseconds after the trace's begin. */
  offset: number
  /** It names a parent that is not among the spans. */
  orphan: boolean
}

export type Kind = 'internal' | 'server' | 'client' | 'producer' | 'consumer'
const kinds: readonly Kind[] = ['internal', 'server', 'client', 'producer', 'consumer']

export interface SpanTree {
  /** Every span, parents before their children, siblings by start. */
  nodes: SpanNode[]
  start: number // microseconds
  duration: number
  depth: number
  services: { name: string; spans: number; failed: number }[]
}

const isError = (v: unknown): boolean => v === true || v === 'true'

/** What the tags of a span say about it, in one pass: a large trace has hundreds of thousands of them. */
function stateOf(span: Span): { failed: boolean; kind: Kind } {
  let failed = false
  let kind: Kind = 'internal'
  for (const t of span.tags) {
    if (t.key === 'error') failed ||= isError(t.value)
    else if (t.key === 'otel.status_code') failed ||= t.value === 'ERROR'
    else if (t.key === 'span.kind') kind = kinds.find((k) => k === t.value) ?? 'internal'
  }
  return { failed, kind }
}

/**
 * The spans of a trace as a tree. A trace need not be whole: a span whose parent is missing stands at the top, so does one whose
 * parents go round in a circle; spans that share an id keep their own place.
 */
export function treeOf(trace: Trace): SpanTree {
  const start = trace.spans.reduce((t, s) => Math.min(t, s.startTime), Number.POSITIVE_INFINITY)
  const end = trace.spans.reduce((t, s) => Math.max(t, s.startTime + s.duration), Number.NEGATIVE_INFINITY)
  const all = trace.spans.map(
    (span): SpanNode => ({
      index: 0,
      span,
      service: trace.processes[span.processID]?.serviceName ?? '',
      depth: 0,
      parent: undefined,
      children: [],
      below: 0,
      ...stateOf(span),
      origin: false,
      offset: span.startTime - start,
      orphan: false,
    }),
  )
  all.sort((a, b) => a.span.startTime - b.span.startTime || b.span.duration - a.span.duration)
  const byID = new Map<string, SpanNode>()
  for (const n of all) if (!byID.has(n.span.spanID)) byID.set(n.span.spanID, n)
  const tops = new Map<SpanNode, SpanNode>()
  for (const n of all) {
    const ref = n.span.references.find((r) => r.traceID === n.span.traceID && r.refType === 'CHILD_OF')
    if (ref === undefined) continue
    const parent = byID.get(ref.spanID)
    if (parent === undefined) n.orphan = true
    else if (topOf(parent, tops) !== n) {
      n.parent = parent
      tops.set(n, parent)
    }
  }
  const roots: SpanNode[] = []
  for (const n of all) (n.parent?.children ?? roots).push(n)
  const nodes: SpanNode[] = []
  const stack = roots.reverse()
  for (let n = stack.pop(); n !== undefined; n = stack.pop()) {
    n.depth = n.parent === undefined ? 0 : n.parent.depth + 1
    n.index = nodes.length
    nodes.push(n)
    for (let i = n.children.length - 1; i >= 0; i--) stack.push(n.children[i] as SpanNode)
  }
  const services = new Map<string, { name: string; spans: number; failed: number }>()
  const failedBelow = new Uint8Array(nodes.length)
  for (let i = nodes.length - 1; i >= 0; i--) {
    const n = nodes[i] as SpanNode
    n.origin = n.failed && failedBelow[i] === 0
    if (n.parent) {
      n.parent.below += n.below + 1
      if (n.failed || failedBelow[i] === 1) failedBelow[n.parent.index] = 1
    }
    const s = services.get(n.service) ?? { name: n.service, spans: 0, failed: 0 }
    s.spans++
    if (n.failed) s.failed++
    services.set(n.service, s)
  }
  return {
    nodes,
    start: Number.isFinite(start) ? start : 0,
    duration: Number.isFinite(end) ? end - start : 0,
    depth: nodes.reduce((d, n) => Math.max(d, n.depth + 1), 0),
    services: [...services.values()].sort((a, b) => b.spans - a.spans || (a.name < b.name ? -1 : 1)),
  }
}

/**
 * The span at the top of those that are linked so far: a span without a parent must not get one below itself. The ways to the top are
 * made shorter while they are gone, or a chain of 90,000 spans would be walked for each of them.
 */
function topOf(n: SpanNode, tops: Map<SpanNode, SpanNode>): SpanNode {
  for (let up = tops.get(n); up !== undefined; up = tops.get(n)) {
    const above = tops.get(up)
    if (above === undefined) return up
    tops.set(n, above)
    n = above
  }
  return n
}
