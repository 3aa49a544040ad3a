import type { Series } from './series'

const quoted = (v: string): string => {
  // A spreadsheet would take these for formulas.
  const safe = /^[=+@\t\r]/.test(v) || (v.startsWith('-') && Number.isNaN(Number(v))) ? `'${v}` : v
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe
}

/** One row for each sample: its labels, its time and its value. */
export function csvOf(result: readonly Series[]): string {
  const keys = [...new Set(result.flatMap((s) => Object.keys(s.metric)))].sort()
  const rows = [[...keys, 'time', 'value']]
  for (const s of result) {
    const labels = keys.map((k) => s.metric[k] ?? '')
    for (const [t, v] of s.values ?? (s.value ? [s.value] : [])) rows.push([...labels, new Date(t * 1000).toISOString(), v])
  }
  return rows
    .map((r) => r.map(quoted).join(','))
    .join('\r\n')
    .concat('\r\n')
}

/** A text as one argument of a shell. */
const argument = (text: string): string => `'${text.replace(/'/g, `'\\''`)}'`

/** The request as a command. A token is left to the reader. */
export function curlOf(origin: string, path: string, query: Record<string, string | number>): string {
  const data = Object.entries(query).map(([k, v]) => `--data-urlencode ${argument(`${k}=${v}`)}`)
  return [`curl -sS ${argument(`${origin}${path}`)}`, ...data].join(' \\\n  ')
}

/** Gives the browser a file to keep. */
export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }))
  const a = document.createElement('a')
  a.href = url
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
