import { useSyncExternalStore } from 'react'

// Whether what is shown is what the server says now. Set by the live connection; read by every state that says "ok".
let current = true
const listeners = new Set<() => void>()

export function setTrust(next: boolean): void {
  if (next === current) return
  current = next
  for (const l of listeners) l()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export const useTrust = (): boolean => useSyncExternalStore(subscribe, () => current)
