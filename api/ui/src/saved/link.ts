import type { SavedView } from '../api/types'
import { paramPrefix } from '../lib/dimensions'

export const pagePaths: Record<SavedView['page'], string> = { traces: '/traces', logs: '/logs', metrics: '/query' }

const times = ['from', 'to', 'range']

/** The query of a page as it is saved: with its time range if asked for, and never with what the whole page is narrowed to. */
export function savedQuery(search: string, withRange: boolean): string {
  const q = new URLSearchParams(search)
  for (const k of [...q.keys()]) if (k.startsWith(paramPrefix) || (!withRange && times.includes(k))) q.delete(k)
  q.sort()
  return q.toString()
}

/** Whether a view has a time range of its own. */
export const hasRange = (v: Pick<SavedView, 'query'>): boolean => times.some((t) => new URLSearchParams(v.query).has(t))

/** Where a view leads. The range and what the page is narrowed to stay unless the view has its own. */
export function viewPath(v: Pick<SavedView, 'page' | 'query'>, search: string): string {
  const q = new URLSearchParams(v.query)
  const own = hasRange(v)
  for (const [k, value] of new URLSearchParams(search)) if (k.startsWith(paramPrefix) || (!own && times.includes(k))) q.set(k, value)
  const s = q.toString()
  return s === '' ? pagePaths[v.page] : `${pagePaths[v.page]}?${s}`
}
