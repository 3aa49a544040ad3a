const colors = 10

/** A service has its colour on every page. */
export function colorOf(service: string): string {
  let h = 2166136261
  for (let i = 0; i < service.length; i++) h = Math.imul(h ^ service.charCodeAt(i), 16777619)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  h ^= h >>> 16
  return `var(--s-${(h >>> 0) % colors})`
}
