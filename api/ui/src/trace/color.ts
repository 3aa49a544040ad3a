const colors = 10

/** Which of the page's colours a service prefers. */
export function slotOf(service: string): number {
  let h = 2166136261
  for (let i = 0; i < service.length; i++) h = Math.imul(h ^ service.charCodeAt(i), 16777619)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  h ^= h >>> 16
  return (h >>> 0) % colors
}

/** A service has its colour on every page. */
export const colorOf = (service: string): string => `var(--s-${slotOf(service)})`
