import type { TraceSummary } from '../api/types'
import { exact } from '../lib/format'
import { type Span, secondsOf } from '../lib/range'
import { startOf } from './heat'

/** The traces that the heatmap, the counts and the groups are made of. */
export interface Sample {
  traces: readonly TraceSummary[]
  from: number // ms
  to: number
  /** What they are of all that match, as a sentence. */
  sentence: string
}

/**
 * What was read of the traces that match: all, or the first by the order of the list. The newest ones reach back only so far, and the
 * map begins there: an empty part of it would look as if nothing had happened.
 */
export function sampleOf(traces: readonly TraceSummary[], more: boolean, order: 'newest' | 'slowest', span: Span, now: number): Sample {
  const to = 'to' in span ? span.to * 1000 : now
  const start = to - secondsOf(span) * 1000
  if (!more) return { traces, from: start, to, sentence: `Heatmap: all ${exact(traces.length)} traces that match.` }
  const sentence = `Heatmap: the ${order} ${exact(traces.length)} of the traces that match.`
  const oldest = order === 'newest' ? traces.reduce((t, s) => Math.min(t, startOf(s)), to - 1) : start
  return { traces, from: Math.max(start, Math.min(oldest, to - 1)), to, sentence }
}
