import type { Dashboard, DashboardInput } from '../api/types'
import { inputOf } from './queries'

const format = 'watchingcat/dashboard/1'

/** A dashboard as a file. */
export const fileOf = (d: Dashboard | DashboardInput): string => `${JSON.stringify({ format, ...inputOf(d) }, null, 2)}\n`

/** Reads a file: a dashboard of this page, or the JSON of another program. */
export function readFile(text: string): { own: DashboardInput } | { other: unknown } | { wrong: string } {
  let doc: unknown
  try {
    doc = JSON.parse(text)
  } catch (err) {
    return { wrong: `This is not JSON: ${(err as Error).message}` }
  }
  if (typeof doc !== 'object' || doc === null || Array.isArray(doc)) return { wrong: 'This JSON is no dashboard.' }
  if ((doc as { format?: unknown }).format !== format) return { other: doc }
  return { own: inputOf(doc as DashboardInput) }
}
