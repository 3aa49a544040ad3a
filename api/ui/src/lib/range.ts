import { serverNow } from './clock'

export const ranges = ['5m', '15m', '1h', '6h'] as const
export type Range = (typeof ranges)[number]
export const defaultRange: Range = '15m'

const seconds: Record<Range, number> = { '5m': 300, '15m': 900, '1h': 3600, '6h': 21600 }

export function parseRange(s: string | null): Range {
  return ranges.find((r) => r === s) ?? defaultRange
}

export function rangeSeconds(r: Range): number {
  return seconds[r]
}

/** Start of the range that ends now, as Unix seconds. */
export function rangeStart(r: Range): number {
  return Math.floor(serverNow() / 1000) - seconds[r]
}
