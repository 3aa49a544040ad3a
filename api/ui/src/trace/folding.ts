import type { SpanNode } from './tree'

/** A trace of more spans is folded at first. */
export const unfolded = 1_000
const openDepth = 3

export type Folded = ReadonlySet<SpanNode>

/** What is folded when a trace is opened: of a large one all below the third level, but for what leads to where something failed. */
export function foldedAtFirst(nodes: readonly SpanNode[]): Folded {
  const folded = new Set<SpanNode>()
  if (nodes.length <= unfolded) return folded
  for (const n of nodes) if (n.below > 0 && n.depth >= openDepth - 1) folded.add(n)
  for (const n of nodes) if (n.origin) open(folded, n)
  return folded
}

/** The folded spans without those above one, so that it can be seen. */
export function unfoldedTo(folded: Folded, node: SpanNode): Folded {
  const next = new Set(folded)
  open(next, node)
  return next.size === folded.size ? folded : next
}

function open(folded: Set<SpanNode>, node: SpanNode): void {
  // Above a span that is open everything is open already only if it was opened from below, so all are looked at.
  for (let up = node.parent; up !== undefined; up = up.parent) folded.delete(up)
}

/** All spans with something below, or all but the top. */
export function foldedAll(nodes: readonly SpanNode[]): Folded {
  return new Set(nodes.filter((n) => n.depth > 0 && n.below > 0))
}

/** The spans to show when those below the folded ones are left out. */
export function visible(nodes: readonly SpanNode[], folded: Folded): SpanNode[] {
  const out: SpanNode[] = []
  for (let i = 0; i < nodes.length; i++) {
    const n = nodes[i] as SpanNode
    out.push(n)
    if (folded.has(n)) i += n.below
  }
  return out
}

/** Where a span stands among the visible ones, which are in the order of the tree; the one that hides it if it is hidden. */
export function rowOf(rows: readonly SpanNode[], node: SpanNode): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const mid = (low + high) >> 1
    if ((rows[mid] as SpanNode).index <= node.index) low = mid + 1
    else high = mid
  }
  return low - 1
}

/** The next of some spans after (1) or before (-1) a place in the tree, round the end. */
export function stepTo(matches: readonly number[], at: number, by: 1 | -1): number | undefined {
  if (matches.length === 0) return undefined
  if (by > 0) return matches.find((m) => m > at) ?? matches[0]
  return matches.findLast((m) => m < at) ?? matches.at(-1)
}
