import type { Deployment } from '../api/types'
import { millis, percent } from './format'

type Verdict = NonNullable<Deployment['verdicts']>[number]

const words: Record<Verdict['verdict'], string> = {
  worse: 'worse',
  better: 'better',
  same: 'same',
  new: 'new',
  gone: 'gone',
  too_few: 'too few calls',
}

/** What the newest verdict says of a deployment, and why. */
export function verdictOf(d: Pick<Deployment, 'verdicts'>): { word: string; title: string; bad: boolean } {
  const v = d.verdicts?.at(-1)
  if (v === undefined) return { word: '', title: 'There is a verdict 10 min after the first span.', bad: false }
  const changed = v.operations.map((o) => `${o.name}: ${words[o.change]}${changeText(o)}`)
  return {
    word: words[v.verdict],
    title: [`After ${v.after_s / 60} min`, ...changed].join('\n'),
    bad: v.verdict === 'worse',
  }
}

function changeText(o: Verdict['operations'][number]): string {
  if (o.change === 'new' || o.change === 'gone') return ''
  const parts = []
  if (o.errors === 'worse' || o.errors === 'better')
    parts.push(`failed ${percent(o.before.error_rate)} % → ${percent(o.after.error_rate)} %`)
  if (o.latency === 'worse' || o.latency === 'better') parts.push(`p95 ${millis(o.before.p95_ms)} → ${millis(o.after.p95_ms)} ms`)
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}
