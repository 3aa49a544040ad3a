import type { Alert, ServiceHealth } from '../api/types'

/** How something is doing. Of a service: what an alert says, or what the server finds in its numbers. */
export type Health = 'firing' | 'failing' | 'silent' | 'slower' | 'pending' | 'few' | 'ok' | 'nodata'

/** From this share of failures on, red: below it they are shown without colour. */
export const failing = (share: number): boolean => share >= 0.01

export const shareClass = (share: number): string | undefined => (failing(share) ? 'bad' : share === 0 ? 'dim' : undefined)

export const healthOrder: Record<Health, number> = { firing: 0, failing: 1, silent: 2, slower: 3, pending: 4, few: 5, nodata: 6, ok: 7 }
export const healthWord: Record<Health, string> = {
  firing: 'firing',
  failing: 'failing',
  silent: 'silent',
  slower: 'slower',
  pending: 'pending',
  few: 'few calls',
  ok: 'ok',
  nodata: 'no data',
}

/** What needs to be looked at. That a service has no data, or too little to judge, is no finding. */
export const unhealthy = (h: Health): boolean => healthOrder[h] <= healthOrder.pending

const serviceLabels = ['service_name', 'service', 'server', 'job']

/** The service that an alert is about: what its labels name. */
export function serviceOf(alert: Alert): string | undefined {
  for (const l of serviceLabels) if (alert.labels[l]) return alert.labels[l]
  return undefined
}

export function alertsByService(alerts: Alert[]): Map<string, Alert[]> {
  const out = new Map<string, Alert[]>()
  for (const a of alerts) {
    const name = serviceOf(a)
    if (name === undefined) continue
    const list = out.get(name)
    if (list) list.push(a)
    else out.set(name, [a])
  }
  return out
}

const judged: Record<ServiceHealth['health'], Health> = {
  failing: 'failing',
  slower: 'slower',
  silent: 'silent',
  few_calls: 'few',
  no_data: 'nodata',
  ok: 'ok',
}

/** The worst of a service's alerts and its numbers. */
export function healthOf(service: Pick<ServiceHealth, 'health'> | undefined, alerts: Alert[] | undefined): Health {
  let worst: Health = service === undefined ? 'nodata' : judged[service.health]
  for (const a of alerts ?? []) if (healthOrder[a.state] < healthOrder[worst]) worst = a.state
  return worst
}

/** Why: its alerts by name, then what its numbers say. */
export function reasonOf(service: Pick<ServiceHealth, 'reason'> | undefined, alerts: Alert[] | undefined): string {
  const names = (state: Alert['state']) => [
    ...new Set((alerts ?? []).filter((a) => a.state === state).map((a) => a.labels.alertname ?? 'an alert')),
  ]
  const [firing, pending] = [names('firing'), names('pending')]
  return [firing.length > 0 && `firing: ${firing.join(', ')}`, pending.length > 0 && `pending: ${pending.join(', ')}`, service?.reason]
    .filter(Boolean)
    .join('; ')
}

/** Firing first, then the longest. */
export function byUrgency(a: Alert, b: Alert): number {
  if (a.state !== b.state) return a.state === 'firing' ? -1 : 1
  return a.active_at < b.active_at ? -1 : a.active_at > b.active_at ? 1 : a.fingerprint < b.fingerprint ? -1 : 1
}

export function summaryOf(alert: Alert): string {
  return alert.annotations.summary || alert.annotations.description || alert.labels.alertname || 'alert'
}
