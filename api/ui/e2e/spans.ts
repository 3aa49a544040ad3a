// Traces that tests send to the demo's OTLP receiver.

export interface SpanSpec {
  service: string
  name: string
  id: string
  parent?: string
  /** Milliseconds after the start of the trace. */
  at: number
  took: number
  kind?: number
  error?: boolean
  attributes?: Record<string, string | bigint>
  events?: { name: string; at: number; attributes: Record<string, string> }[]
}

const attributesOf = (values: Record<string, string | bigint>) =>
  Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === 'bigint' ? { intValue: value.toString() } : { stringValue: value },
  }))

/** Sends a trace that began a few seconds ago, in requests of at most 2,000 spans. */
export async function sendTrace(receiver: string, traceId: string, spans: readonly SpanSpec[], ago = 5_000): Promise<void> {
  const start = BigInt(Date.now() - ago) * 1_000_000n
  const nanos = (ms: number) => (start + BigInt(Math.round(ms * 1e6))).toString()
  for (let i = 0; i < spans.length; i += 2_000) {
    const byService = new Map<string, object[]>()
    for (const s of spans.slice(i, i + 2_000)) {
      const list = byService.get(s.service) ?? []
      byService.set(s.service, list)
      list.push({
        traceId,
        spanId: s.id,
        parentSpanId: s.parent ?? '',
        name: s.name,
        kind: s.kind ?? 1,
        startTimeUnixNano: nanos(s.at),
        endTimeUnixNano: nanos(s.at + s.took),
        attributes: attributesOf(s.attributes ?? {}),
        events: (s.events ?? []).map((e) => ({ timeUnixNano: nanos(e.at), name: e.name, attributes: attributesOf(e.attributes) })),
        status: s.error ? { code: 2 } : {},
      })
    }
    const resourceSpans = [...byService].map(([service, list]) => ({
      resource: { attributes: attributesOf({ 'service.name': service, 'host.name': 'node-7' }) },
      scopeSpans: [{ spans: list }],
    }))
    const res = await fetch(`${receiver}/v1/traces`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ resourceSpans }),
    })
    if (!res.ok) throw new Error(`the receiver answers ${res.status}: ${await res.text()}`)
  }
}

export const spanID = (n: number): string => (n + 1).toString(16).padStart(16, '0')

/** A trace of many spans over thirteen services: a fan of requests, each a chain of calls five deep. */
export function largeTrace(count: number): SpanSpec[] {
  const services = 'frontend,auth,cart,checkout,payment,shipping,inventory,pricing,catalog,email,fraud,tax,search'.split(',')
  const out: SpanSpec[] = [{ service: 'batch', name: 'Import everything', id: spanID(0), at: 0, took: 4_000 }]
  const chains = Math.ceil((count - 1) / 5)
  for (let i = 1; i < count; i++) {
    const chain = Math.floor((i - 1) / 5)
    const depth = (i - 1) % 5
    const at = (3_900 * chain) / chains + depth
    out.push({
      service: services[(chain + depth) % services.length] ?? 'frontend',
      name: `${['Import', 'Load', 'Check', 'Store', 'Notify'][depth]} row`,
      id: spanID(i),
      parent: spanID(depth === 0 ? 0 : i - 1),
      at,
      took: 60 - 10 * depth,
      kind: depth % 2 === 0 ? 2 : 3,
      attributes: { 'row.number': BigInt(i), 'http.route': '/rows/{id}', 'net.peer.name': `node-${i % 40}` },
    })
  }
  return out
}
