import { lengthText, type Range, rangeSeconds } from '../lib/range'

const bucket = 10

/** By how much the moment moves at once: whole buckets of the views, about 90 steps in a range. */
export const stepOf = (seconds: number): number => Math.max(bucket, Math.ceil(seconds / 90 / bucket) * bucket)

/** A moment has the numbers of so many seconds before it: a minute, longer in long ranges, of which only wider buckets are kept. */
export function windowOf(range: Range): number {
  return Math.max(60, Math.ceil(rangeSeconds(range) / 360 / 60) * 60)
}

/** The times that a moment stands for. Without one it is the newest of them. */
export function momentRange(at: number | undefined, window: number): Range {
  return at === undefined ? lengthText(window) : `${at - window}..${at}`
}

/** A moment of the URL. */
export function momentOf(text: string): number | undefined {
  return /^\d{1,11}$/.test(text) ? Number(text) : undefined
}
