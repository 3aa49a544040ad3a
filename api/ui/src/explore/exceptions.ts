import type { Exception } from '../api/types'

const sources: Record<string, string> = { span: 'spans', log: 'logs', _other: 'other' }

/** Which sources have the exceptions. */
export const sourceWords = (e: Pick<Exception, 'sources'>): string => e.sources.map((s) => sources[s.source] ?? s.source).join(' and ')

/** How the counts of the sources became one. */
export function mergedWords(e: Pick<Exception, 'sources' | 'merged'>): string {
  const counts = e.sources.map((s) => `${s.count} from ${sources[s.source] ?? s.source}`).join(', ')
  switch (e.merged) {
    case 'checked':
      return `${counts}. The log records are about the exceptions of their spans, so each counts once.`
    case 'assumed':
      return `${counts}. The log records name spans that are no longer kept, so each is taken to be an exception of its span and counts once.`
    case 'distinct':
      return `${counts}. The log records are not about exceptions of spans, so both count.`
    default:
      return counts
  }
}

/** The versions that were running when it was first seen. */
export const versionWords = (e: Pick<Exception, 'first_versions'>): string => e.first_versions.map((v) => v.version).join(' or ')
