import type { Baseline } from '../api/types'
import type { SpanNode } from './tree'

/** Of fewer calls a rank says nothing. */
export const fewest = 20
const mostPart = 0.55

export const keyOf = (service: string, operation: string, kind: string): string => `${service}\u0000${operation}\u0000${kind}`

export type Baselines = ReadonlyMap<string, Baseline>

export function baselinesOf(list: readonly Baseline[]): Baselines {
  return new Map(list.map((b) => [keyOf(b.service, b.operation, b.kind), b]))
}

/** A span that names no kind is shown as an internal one; the server counts it as unspecified. */
export function baselineOf(baselines: Baselines, n: SpanNode): Baseline | undefined {
  const of = (kind: string) => baselines.get(keyOf(n.service, n.span.operationName, `SPAN_KIND_${kind}`))
  return of(n.kind.toUpperCase()) ?? (n.kind === 'internal' ? of('UNSPECIFIED') : undefined)
}

/** The share of an operation's calls that were faster than so many milliseconds. undefined: too few calls are known. */
export function rankOf(b: Baseline | undefined, ms: number): number | undefined {
  if (b === undefined || b.calls < fewest) return undefined
  let below = 0
  for (const { from_ms, to_ms, calls } of b.buckets) {
    if (ms <= from_ms) break
    // Within a bucket that holds much of all calls nothing says where the others are: then it is in their middle.
    const part = calls > b.calls * mostPart ? 0.5 : (ms - from_ms) / (to_ms - from_ms)
    if (ms <= to_ms) return (below + calls * part) / b.calls
    below += calls
  }
  return below / b.calls
}

/** The duration that a share of the calls did not exceed, in milliseconds. */
export function quantileOf(b: Baseline, share: number): number {
  const wanted = share * b.calls
  let below = 0
  for (const { from_ms, to_ms, calls } of b.buckets) {
    if (below + calls >= wanted) return from_ms + ((to_ms - from_ms) * (wanted - below)) / calls
    below += calls
  }
  return b.buckets.at(-1)?.to_ms ?? 0
}
