import type { ApiError } from '../api/client'
import type { SLO, SLOInput } from '../api/types'
import { percent } from '../lib/format'
import type { Health } from '../lib/health'

/** How an objective stands: by its alerts first, then by what is left of its budget. */
export function standingOf(s: Pick<SLO, 'status'>): { health: Health; word: string } {
  const { alerts, budget_remaining: left, burn_rate: burn } = s.status
  if (alerts.length > 0) return { health: 'firing', word: `alert: ${[...new Set(alerts)].join(', ')}` }
  if (left === null) return { health: 'nodata', word: 'no data' }
  if (left <= 0) return { health: 'firing', word: 'budget used up' }
  if (burn !== null && burn > 1) return { health: 'pending', word: 'burns too fast' }
  return { health: 'ok', word: 'ok' }
}

/** Width of the bar of a budget, as a share; nothing is drawn of what is overdrawn. */
export const budgetWidth = (left: number): number => Math.min(1, Math.max(0, left))

/** Per cent of a budget: -250 where it is overdrawn two and a half times. */
export function budgetText(left: number): string {
  const p = left * 100
  if (p !== 0 && Math.abs(p) < 0.1) return p > 0 ? '<0.1' : '>-0.1'
  return Math.abs(p) < 10 ? p.toFixed(1) : p.toFixed(0)
}

/** How much of the window there is data of, in words; undefined where there is all. */
export function coveredText(s: Pick<SLO, 'window' | 'status'>): string | undefined {
  const covered = s.status.window_covered
  if (covered === null || covered >= 1) return undefined
  return `There is data for ${percent(covered)} % of the ${s.window}; the budget is that of the whole window at the same traffic.`
}

/** What counts as good, in words. */
export function goodWords(s: Pick<SLO, 'service' | 'operation' | 'latency_ms' | 'good'>): string {
  if (!s.service) return s.good ? 'by PromQL' : ''
  const what = s.latency_ms ? `take no longer than ${s.latency_ms} ms` : 'do not fail'
  return `${s.operation ? `${s.operation} of ` : 'requests to '}${s.service} ${what}`
}

/** Bounds of the histogram: durations in between are not counted exactly. */
export const latencyBounds = [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000]

export interface SLODraft {
  name: string
  objective: string
  window: string
  by: 'service' | 'promql'
  service: string
  operation: string
  latency: string
  good: string
  total: string
  description: string
}

export const emptySLO: SLODraft = {
  name: '',
  objective: '99.9',
  window: '30d',
  by: 'service',
  service: '',
  operation: '',
  latency: '',
  good: '',
  total: '',
  description: '',
}

/** An objective as the form shows it. */
export function draftOf(s: SLO): SLODraft {
  return {
    name: s.name,
    objective: String(s.objective),
    window: s.window,
    by: s.service ? 'service' : 'promql',
    service: s.service ?? '',
    operation: s.operation ?? '',
    latency: s.latency_ms === undefined ? '' : String(s.latency_ms),
    good: s.good ?? '',
    total: s.total ?? '',
    description: s.description ?? '',
  }
}

export function sloOf(d: SLODraft): SLOInput {
  const of =
    d.by === 'promql'
      ? { good: d.good.trim(), total: d.total.trim() }
      : {
          service: d.service.trim(),
          ...(d.operation.trim() === '' ? {} : { operation: d.operation.trim() }),
          ...(d.latency === '' ? {} : { latency_ms: Number(d.latency) }),
        }
  return {
    name: d.name.trim(),
    objective: Number(d.objective.replace(',', '.')),
    window: d.window.trim(),
    ...of,
    ...(d.description.trim() === '' ? {} : { description: d.description.trim() }),
  }
}

const fields: [RegExp, keyof SLODraft][] = [
  [/^objective\b/, 'objective'],
  [/^window\b/, 'window'],
  [/^latency_ms\b/, 'latency'],
  [/^(good|total)\b/, 'good'],
  [/^(name\b|there is (already )?an? )/, 'name'],
  [/^(service\b|give either service)/, 'service'],
]

/** Which field an error of the API is about. */
export function sloField(error: Pick<ApiError, 'message'>): { field: keyof SLODraft | undefined; text: string } {
  const text = error.message.replace(/^the SLO is not valid: /, '')
  const field = fields.find(([re]) => re.test(text))?.[1]
  return { field, text: field === undefined ? text : text.replace(/^\w+: /, '') }
}
