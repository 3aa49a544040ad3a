import type { LogLine } from '../api/types'
import type { Line } from '../live/tail'
import { withoutEscapes } from './ansi'

export const severities = ['error', 'warn', 'info', 'debug', 'other'] as const
export type Severity = (typeof severities)[number]

/** The five levels that are shown: FATAL is an error, WARN2 a warning, TRACE is debugging. */
export function severityOf(text: string): Severity {
  const t = text.toUpperCase()
  if (t.startsWith('FATAL') || t.startsWith('ERROR')) return 'error'
  if (t.startsWith('WARN')) return 'warn'
  if (t.startsWith('INFO')) return 'info'
  return t.startsWith('DEBUG') || t.startsWith('TRACE') ? 'debug' : 'other'
}

/** What a line shows: its body, else the name of its event; without the codes of terminals. */
export const textOfLine = (line: Pick<LogLine, 'body' | 'event_name'>): string =>
  withoutEscapes(line.body || line.event_name) || '(no body)'

/** Lines of a store have no id: what they say is one, and its number among its equals. */
export function keyLines(lines: readonly LogLine[]): Line[] {
  const seen = new Map<string, number>()
  return lines.map((line) => {
    const k = line.id || `${line.time} ${line.service} ${line.span_id} ${line.event_name} ${line.body}`
    const n = seen.get(k) ?? 0
    seen.set(k, n + 1)
    return { key: `${k} ${n}`, line }
  })
}

const instances: [string, string][] = [
  ['k8s.pod.uid', 'pod'],
  ['k8s.pod.name', 'pod'],
  ['service.instance.id', 'instance'],
  ['container.id', 'container'],
  ['host.name', 'host'],
]

/** Which instance of a service wrote a line, where its resource says so. */
export function instanceOf(line: Pick<LogLine, 'resource'>): { word: string; condition: string } | undefined {
  for (const [key, word] of instances) {
    const v = line.resource[key]
    if (typeof v === 'string' && v !== '') return { word, condition: `resource.${key}=${v}` }
  }
  return undefined
}
