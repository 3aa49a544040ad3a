import { setZone } from '../src/lib/zone'

/** The moment at which the catalogue stands still. */
export const moment = '2026-12-01T03:09:00Z'
export const at = Date.parse(moment)

// What is made of a given time stays as it is.
const Real = Date
class Still extends Real {
  constructor(...args: unknown[]) {
    super(...((args.length === 0 ? [at] : args) as [number]))
  }
  static override now() {
    return at
  }
}
window.Date = Still as unknown as DateConstructor
setZone('utc')

/** So many seconds or minutes before that moment. */
export const before = (seconds: number): string => new Real(at - seconds * 1000).toISOString()
