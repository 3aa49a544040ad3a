import type { SavedView } from '../api/types'

/** The kinds of entries, in the order of their groups where they match equally well. */
export const kinds = ['trace', 'page', 'incident', 'service', 'dashboard', 'view', 'rule', 'range'] as const
export type Kind = (typeof kinds)[number]

export interface Entry {
  /** Unique among all entries. */
  id: string
  kind: Kind
  label: string
  /** Shown beside the label. */
  detail?: string
  /** Found too, after all labels. */
  also?: string
  /** Where it leads: to a path, to the same page in another range, or to a saved view. */
  to: { path: string } | { range: string } | { view: Pick<SavedView, 'page' | 'query'> }
}

export interface Group {
  kind: Kind
  entries: Entry[]
}

export interface Found {
  groups: Group[]
  /** Number of entries that match; the groups hold at most `most` of them. */
  total: number
}

export const most = 20

/** Whether a word begins there: after what is no letter or digit, and at the capitals of HighErrorRate. */
function wordBegins(text: string, at: number): boolean {
  const [before, here] = [text.charAt(at - 1), text.charAt(at)]
  return !/[\p{L}\p{N}]/u.test(before) || (/\p{Lu}/u.test(here) && /[\p{Ll}\p{N}]/u.test(before))
}

/** How well a text matches, less is better: 0 begins with it, 1 a word does, 2 it is within; undefined: it is not. */
function place(text: string, low: string, asked: string): number | undefined {
  let at = low.indexOf(asked)
  if (at < 0) return undefined
  if (at === 0) return 0
  for (; at >= 0; at = low.indexOf(asked, at + 1)) if (wordBegins(text, at)) return 1
  return 2
}

const elsewhere = 3

/** As `place`; 3 where the words are in the label in another order, or in what else the entry is found by. */
function rankOf(e: Entry, asked: string, words: readonly string[]): number | undefined {
  const low = e.label.toLowerCase()
  const rank = place(e.label, low, asked)
  if (rank !== undefined) return rank
  const all = `${low} ${(e.also ?? '').toLowerCase()}`
  return words.every((w) => all.includes(w)) ? elsewhere : undefined
}

/** The entries that match the text best, by kind: the group with the best match first. All match an empty text. */
export function find(entries: readonly Entry[], text: string): Found {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const asked = words.join(' ')
  const matches: { e: Entry; rank: number; kind: number }[] = []
  for (const e of entries) {
    const rank = rankOf(e, asked, words)
    if (rank !== undefined) matches.push({ e, rank, kind: kinds.indexOf(e.kind) })
  }
  // Sorting is stable: without a text, or of the same length, entries stay in their order.
  matches.sort((a, b) => a.rank - b.rank || a.kind - b.kind || (asked === '' ? 0 : a.e.label.length - b.e.label.length))
  const groups = new Map<Kind, Entry[]>()
  for (const { e } of matches.slice(0, most)) {
    const group = groups.get(e.kind)
    if (group) group.push(e)
    else groups.set(e.kind, [e])
  }
  return { groups: [...groups].map(([kind, found]) => ({ kind, entries: found })), total: matches.length }
}
