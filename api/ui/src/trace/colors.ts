import { slotOf } from './color'
import type { SpanNode, SpanTree } from './tree'

/** Colours of services within a trace: the ten of the page and two more. */
export const slots = 12

export const slotColor = (slot: number): string => (slot < 10 ? `var(--s-${slot})` : `var(--trace-s-${slot})`)

/**
 * A colour for each service of a trace. Those with the most spans choose first and take the colour that they have on every page; who
 * finds it taken gets the next free one. No two share one while there are at most as many services as colours.
 */
export function serviceColors(services: readonly { name: string }[]): Map<string, string> {
  const used = new Array<number>(slots).fill(0)
  const out = new Map<string, string>()
  for (const { name } of services) {
    const least = Math.min(...used)
    let slot = slotOf(name)
    while ((used[slot] ?? 0) > least) slot = (slot + 1) % slots
    used[slot] = (used[slot] ?? 0) + 1
    out.set(name, slotColor(slot))
  }
  return out
}

export type ColorBy = 'service' | 'rank' | 'error'
export const colorings: readonly ColorBy[] = ['service', 'rank', 'error']

/** The steps of the colouring by rank: up to which share of an operation's calls a span is no slower. */
export const rankSteps = [
  { below: 0.5, color: 'var(--trace-r-0)', word: 'faster than half' },
  { below: 0.9, color: 'var(--trace-r-1)', word: 'below p90' },
  { below: 0.99, color: 'var(--trace-r-2)', word: 'p90 to p99' },
  { below: Number.POSITIVE_INFINITY, color: 'var(--trace-r-3)', word: 'above p99' },
] as const
const unranked = 'var(--trace-none)'

export function rankColor(rank: number | undefined): string {
  return rank === undefined ? unranked : (rankSteps.find((s) => rank < s.below)?.color ?? unranked)
}

export interface Coloring {
  by: ColorBy
  services: ReadonlyMap<string, string>
  rank: (n: SpanNode) => number | undefined
}

/** The colour of a span's bar. Where something failed first it is the colour of errors, however bars are coloured. */
export function barColor(n: SpanNode, c: Coloring): string {
  if (n.origin) return 'var(--c-error)'
  if (c.by === 'error') return n.failed ? 'var(--trace-failed)' : unranked
  if (c.by === 'rank') return rankColor(c.rank(n))
  return c.services.get(n.service) ?? unranked
}

export const servicesOf = (tree: SpanTree): Map<string, string> => serviceColors(tree.services)
