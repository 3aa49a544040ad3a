import { useMemo } from 'react'
import { useSpanAnalysis } from '../api/queries'
import type { SpanAnalysis } from '../api/types'
import { exact, percent } from '../lib/format'
import type { SpanNode, SpanTree } from './tree'

type Scope = 'span' | 'resource'

/** How often the spans of an operation have a value: shares from 0 to 1, undefined where no span failed, or none did not. */
export interface Share {
  failed: number | undefined
  ok: number | undefined
}

export type Shares = (scope: Scope, key: string, value: string) => Share | undefined

const around = 1_800 // seconds before and after the trace
const most = 200 // attributes

/** The share of each value among the failed spans and among the others. Of values beyond the most frequent ones nothing is known. */
export function sharesOf(a: Pick<SpanAnalysis, 'spans' | 'failed' | 'facets'>): Shares {
  const by = new Map<string, Share>()
  const ok = a.spans - a.failed
  for (const f of a.facets ?? []) {
    for (const v of f.values) {
      by.set(JSON.stringify([f.scope, f.key, v.value]), {
        failed: a.failed > 0 ? v.failed / a.failed : undefined,
        ok: ok > 0 ? (v.spans - v.failed) / ok : undefined,
      })
    }
  }
  return (scope, key, value) => by.get(JSON.stringify([scope, key, value]))
}

export function shareText(s: Share): string {
  return [s.failed !== undefined && `failed ${percent(s.failed)} %`, s.ok !== undefined && `ok ${percent(s.ok)} %`]
    .filter(Boolean)
    .join(', ')
}

/** What failed spans have more often, beyond what a few spans could do by chance. */
export const suspicious = (s: Share): boolean => s.failed !== undefined && s.ok !== undefined && s.failed - s.ok >= 0.25

/** What the shares are of, in words. */
export function sharesSentence(a: Pick<SpanAnalysis, 'spans' | 'failed' | 'sampled' | 'read_share'>): string {
  const sample = a.sampled ? `, a sample of ${percent(a.read_share)} %` : ''
  return `Shares among ${exact(a.failed)} failed and ${exact(a.spans - a.failed)} ok spans of this operation in the hour around the trace${sample}.`
}

/** How the spans of one operation differ, in the hour around a trace. One request for each operation. */
export function useShares(node: SpanNode, tree: Pick<SpanTree, 'start'>) {
  const query = useMemo(
    () => ({ service: node.service, operation: node.span.operationName, part: ['facets'], limit: most }),
    [node.service, node.span.operationName],
  )
  const middle = Math.floor(tree.start / 1e6)
  const { data, isPlaceholderData } = useSpanAnalysis(query, { from: middle - around, to: middle + around }, node.service !== '')
  const known = isPlaceholderData ? undefined : data // of the operation before
  return { analysis: known, shares: useMemo(() => (known ? sharesOf(known) : undefined), [known]) }
}
