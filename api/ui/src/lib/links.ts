import type { Alert, Rule } from '../api/types'

/**
 * The pages of Alertmanager that its templates and many of its users' link to, as paths of this page: they are in the part after the #,
 * which no server sees. undefined: it is none of them.
 */
export function pathOfHash(hash: string): string | undefined {
  const m = /^#\/([a-z]+)([^?]*)(?:\?(.*))?$/.exec(hash)
  if (m === null) return undefined
  const [, page, , search] = m
  if (page !== 'alerts' && page !== 'silences') return page === 'status' ? '/pipeline' : undefined
  const asked = new URLSearchParams(search ?? '')
  const query = new URLSearchParams()
  const receiver = asked.get('receiver')
  if (receiver) query.set('receiver', receiver.replace(/\\([^\w\s])/g, '$1')) // Alertmanager writes a regular expression: ops\.night
  const words = wordsOf(asked.get('filter') ?? '')
  if (words) query.set('q', words)
  if (page === 'alerts' && !words) return receiver ? `/incidents?${query}` : '/incidents'
  const s = query.toString()
  return s ? `/alerts?${s}` : '/alerts'
}

/** The values that a filter of matchers asks for: {alertname="Slow", service=~"a|b"} is Slow. What only excludes or is an expression is left out. */
function wordsOf(filter: string): string {
  return [...filter.matchAll(/(?:^|[{,\s])"?[^{},="!~\s]+"?\s*=\s*"((?:[^"\\]|\\.)*)"/g)]
    .map((m) => (m[1] ?? '').replace(/\\(.)/g, '$1'))
    .filter(Boolean)
    .join(' ')
}

/** The expression of a link as Prometheus writes them: /graph?g0.expr=... */
export function exprOfLink(link: string): string | undefined {
  const at = link.indexOf('?')
  return at < 0 ? undefined : (new URLSearchParams(link.slice(at + 1)).get('g0.expr') ?? undefined)
}

/** Where a link with an expression leads: to the alerts of the rule that has it, to the rule where none is active; undefined where no rule has it. */
export function pathOfExpr(expr: string, rules: readonly Rule[], alerts: readonly Alert[]): string | undefined {
  const ids = rules.filter((r) => r.type === 'alerting' && (exprOfLink(r.generator_url) ?? r.expr) === expr).map((r) => r.id)
  if (ids.length === 0) return undefined
  const active = ids.filter((id) => alerts.some((a) => a.rule_id === id))
  if (active.length === 0 && ids.length === 1) return `/alerts/rules/${encodeURIComponent(ids[0] ?? '')}`
  return `/alerts?${new URLSearchParams({ rule: (active.length > 0 ? active : ids).join(',') })}`
}
