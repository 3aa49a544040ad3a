import type { Alert, Service } from '../api/types'

export type Health = 'firing' | 'pending' | 'ok' | 'nodata'

/** From this share of failures on, red: below it they are shown without colour. */
export const failing = (share: number): boolean => share >= 0.01

export const shareClass = (share: number): string | undefined => (failing(share) ? 'bad' : share === 0 ? 'dim' : undefined)

export const healthOrder: Record<Health, number> = { firing: 0, pending: 1, nodata: 2, ok: 3 }
export const healthWord: Record<Health, string> = { firing: 'firing', pending: 'pending', ok: 'ok', nodata: 'no data' }

/** How long a service may be silent, against the newest event of all, before its numbers mean nothing. */
export const silentAfter = 120_000

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

export function healthOf(service: Pick<Service, 'last_seen' | 'calls'>, alerts: Alert[] | undefined, upTo: string | null): Health {
  if (alerts?.some((a) => a.state === 'firing')) return 'firing'
  if (alerts?.length) return 'pending'
  if (!service.last_seen || service.calls === 0) return 'nodata'
  if (upTo && Date.parse(upTo) - Date.parse(service.last_seen) > silentAfter) return 'nodata'
  return 'ok'
}

/** Firing first, then the longest. */
export function byUrgency(a: Alert, b: Alert): number {
  if (a.state !== b.state) return a.state === 'firing' ? -1 : 1
  return a.active_at < b.active_at ? -1 : a.active_at > b.active_at ? 1 : a.fingerprint < b.fingerprint ? -1 : 1
}

export function summaryOf(alert: Alert): string {
  return alert.annotations.summary || alert.annotations.description || alert.labels.alertname || 'alert'
}
