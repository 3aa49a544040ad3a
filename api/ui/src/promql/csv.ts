import { csvText } from '../lib/csv'
import { sampleOf } from './histogram'
import type { Series } from './series'

/** One row for each sample: its labels, its time and its value; of native histograms the count and the sum. */
export function csvOf(result: readonly Series[]): string {
  const keys = [...new Set(result.flatMap((s) => Object.keys(s.metric)))].sort()
  const native = result.some((s) => s.histograms !== undefined || s.histogram !== undefined)
  const rows = [[...keys, 'time', 'value', ...(native ? ['count', 'sum'] : [])]]
  for (const s of result) {
    const labels = keys.map((k) => s.metric[k] ?? '')
    const row = (t: number, ...rest: string[]) => rows.push([...labels, new Date(t * 1000).toISOString(), ...rest])
    for (const [t, v] of s.values ?? (s.value ? [s.value] : [])) row(t, v, ...(native ? ['', ''] : []))
    for (const sample of s.histograms ?? (s.histogram ? [s.histogram] : [])) {
      const h = sampleOf(sample)
      if (h !== undefined) row((sample as [number])[0], '', String(h.count), String(h.sum))
    }
  }
  return csvText(rows)
}

/** A text as one argument of a shell. */
const argument = (text: string): string => `'${text.replace(/'/g, `'\\''`)}'`

/** The request as a command. A token is left to the reader. */
export function curlOf(origin: string, path: string, query: Record<string, string | number>): string {
  const data = Object.entries(query).map(([k, v]) => `--data-urlencode ${argument(`${k}=${v}`)}`)
  return [`curl -sS ${argument(`${origin}${path}`)}`, ...data].join(' \\\n  ')
}

/** An answer as Prometheus' API has it, with what was asked. */
export const jsonOf = (query: Record<string, string | number>, resultType: string, result: readonly Series[]): string =>
  `${JSON.stringify({ query, resultType, result }, null, 2)}\n`
