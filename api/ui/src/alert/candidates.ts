import type { Candidate, Why } from '../api/types'
import { percent } from '../lib/format'

type Term = Candidate['terms'][number]

/** What a signal is called in a sentence. */
const names: Record<Term['signal'], string> = {
  errors: 'failed calls',
  latency: 'time of calls',
  stopped: 'calls made for each call',
  skipped: 'log lines',
  began: 'new warnings or errors',
  severity: 'lines that are warnings or errors',
  cpu: 'CPU',
  memory: 'memory',
}

const value = (v: number, unit: string): string => {
  if (unit === 'ratio') return `${percent(v)} %`
  const digits = Math.abs(v) >= 100 ? v.toFixed(0) : String(Number(v.toPrecision(3)))
  return unit === 'ms' || unit === 'cores' ? `${digits} ${unit}` : digits
}

/** A term in words: "failed calls 0.2 % → 44 %". */
export function termText(t: Term): string {
  const of = t.signal === 'stopped' ? ` to ${t.subject}` : ''
  const name = t.signal === 'skipped' && t.unit === 'spans' ? 'spans of an operation' : names[t.signal]
  return `${name}${of} ${value(t.before, t.unit)} → ${value(t.now, t.unit)}`
}

/** How far the first candidate is to be trusted, in words. */
export function confidenceText(w: Why): string {
  const share = percent(w.confidence ?? 0)
  if (w.cause !== undefined) return `confidence ${share} %`
  return `confidence ${share} %, too little to name a cause`
}
