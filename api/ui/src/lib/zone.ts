import { useSyncExternalStore } from 'react'

/** The zone in which times are shown and typed. */
export type Zone = 'browser' | 'utc'

const key = 'watchingcat-zone'
const listeners = new Set<() => void>()

function stored(): Zone {
  try {
    return localStorage.getItem(key) === 'utc' ? 'utc' : 'browser'
  } catch {
    return 'browser' // storage is switched off
  }
}

let current: Zone = stored()

export const zone = (): Zone => current

/** The name for Intl; undefined is the browser's own. */
export const zoneName = (): string | undefined => (current === 'utc' ? 'UTC' : undefined)

export function setZone(next: Zone): void {
  current = next
  try {
    localStorage.setItem(key, next)
  } catch {
    // then it is kept until the page is left
  }
  for (const l of listeners) l()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export const useZone = (): Zone => useSyncExternalStore(subscribe, zone)
