import type { TraceSummary } from '../api/types'

export const groupings = ['operation', 'service'] as const
export type Grouping = (typeof groupings)[number]

export interface Group {
  key: string
  count: number
  failed: number
  p50: number // ms
  p95: number
  longest: TraceSummary
}

/** Traces by their root, or by its service. */
export function groupsOf(traces: readonly TraceSummary[], by: Exclude<Grouping, ''>): Group[] {
  const lists = new Map<string, TraceSummary[]>()
  for (const t of traces) {
    const key = by === 'service' ? t.rootServiceName : `${t.rootServiceName} ${t.rootOperationName}`
    const list = lists.get(key)
    if (list) list.push(t)
    else lists.set(key, [t])
  }
  return [...lists].map(([key, list]) => {
    const sorted = list.toSorted((a, b) => a.duration_ms - b.duration_ms)
    const at = (q: number) => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] as TraceSummary
    return {
      key,
      count: list.length,
      failed: list.filter((t) => t.errorSpanCount > 0).length,
      p50: at(0.5).duration_ms,
      p95: at(0.95).duration_ms,
      longest: at(1),
    }
  })
}
