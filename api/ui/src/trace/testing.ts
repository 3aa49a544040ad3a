// Traces for tests.
import type { Span, Trace } from '../api/types'

/** Spans whose id begins with b are of the service bank, all others of shop. */
export const span = (
  spanID: string,
  parent: string | undefined,
  startTime: number,
  duration: number,
  tags: Record<string, unknown> = {},
): Span => ({
  traceID: 't',
  spanID,
  operationName: spanID,
  references: parent === undefined ? [] : [{ refType: 'CHILD_OF', traceID: 't', spanID: parent }],
  startTime,
  duration,
  tags: Object.entries(tags).map(([key, value]) => ({ key, type: 'string', value })),
  logs: [],
  processID: spanID.startsWith('b') ? 'p2' : 'p1',
  warnings: null,
})

export const trace = (...spans: Span[]): Trace => ({
  traceID: 't',
  spans,
  processes: { p1: { serviceName: 'shop', tags: [] }, p2: { serviceName: 'bank', tags: [] } },
  warnings: null,
})
