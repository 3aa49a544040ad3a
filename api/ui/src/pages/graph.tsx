import { Redirect, useSearch } from 'wouter'
import { useRules } from '../api/queries'
import { Waiting } from '../components/bits'
import { pathOfExpr } from '../lib/links'
import { useLive } from '../live/use-live'
import { metricsPathOf } from '../promql/url'

/**
 * /graph?g0.expr=... is a link to Prometheus' page. The table of a rule's condition is the link in an alert: it leads to the alerts of
 * the rule with that expression, or to the rule. All others lead to the metrics.
 */
export default function GraphPage() {
  const params = new URLSearchParams(useSearch())
  const expr = params.get('g0.expr') ?? ''
  const rules = useRules()
  const live = useLive('alerts')
  if (expr === '' || params.get('g0.tab') === '0' || params.get('g0.tab') === 'graph')
    return <Redirect to={metricsPathOf(params)} replace />
  if (rules.data === undefined) return <Waiting what="the rule" error={rules.error} />
  if (live.data === undefined) return <Waiting what="alerts" error={live.error} />
  return <Redirect to={pathOfExpr(expr, rules.data.rules, live.data.alerts) ?? metricsPathOf(params)} replace />
}
