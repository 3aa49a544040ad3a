import type { PathEdge, Why } from '../api/types'
import { millis, percent } from '../lib/format'

/** Whether an edge was there in the time that it is compared with; without calls a baseline of zero says nothing. */
export const hadBaseline = (e: Pick<PathEdge, 'changed'>): boolean => !e.changed.includes('added')

/** Which calls an edge stands for, in words: the one without a client is everything that is asked of the service. */
export function callsOf(e: Pick<PathEdge, 'client' | 'server'>): string {
  return e.client === '' ? `all calls to ${e.server}` : `${e.client} → ${e.server}`
}

/** Below this share of what is too much, naming one edge would be a guess. */
const worthTelling = 0.3

/**
 * Where most of it begins, in one sentence: the first of the ranked path, with whichever of errors and duration is too much there.
 * Undefined where nothing stands out.
 */
export function causeOf(why: Pick<Why, 'path'>): string | undefined {
  const top = why.path[0]
  if (top === undefined || top.score < worthTelling) return undefined
  const was = (v: string) => (hadBaseline(top) ? `, ${v} before` : '')
  const said: string[] = []
  if (top.own_excess_failed > 0) said.push(`${percent(top.error_rate)} % fail${was(`${percent(top.baseline_error_rate)} %`)}`)
  if (top.own_excess_seconds > 0 && (said.length === 0 || top.mean_ms > 1.5 * top.baseline_mean_ms))
    said.push(`${millis(top.mean_ms)} ms on average${was(`${millis(top.baseline_mean_ms)} ms`)}`)
  if (top.new_versions.length > 0) said.push(`new version ${top.new_versions.join(', ')}`)
  return `${callsOf(top)}${said.length > 0 ? `: ${said.join('; ')}` : ''}`
}
