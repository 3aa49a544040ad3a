import { Link, Redirect, useSearch } from 'wouter'
import { useRules } from '../api/queries'
import { Problem, Waiting } from '../components/bits'
import { pathOfExpr } from '../lib/links'
import { useHref } from '../lib/url'
import { useLive } from '../live/use-live'

/** /graph?g0.expr=... is the link to Prometheus in an alert: it leads to the alerts of the rule with that expression, or to the rule. */
export default function GraphPage() {
  const expr = new URLSearchParams(useSearch()).get('g0.expr') ?? ''
  const rules = useRules()
  const live = useLive('alerts')
  const href = useHref()
  if (rules.data === undefined) return <Waiting what="the rule" error={rules.error} />
  if (live.data === undefined) return <Waiting what="alerts" error={live.error} />
  const path = pathOfExpr(expr, rules.data.rules, live.data.alerts)
  if (path !== undefined) return <Redirect to={path} replace />
  return (
    <>
      <Problem error="No alert rule has this expression. The rule may have been changed or deleted." />
      {expr !== '' && (
        <p>
          <code>{expr}</code>
        </p>
      )}
      <p className="quiet">
        <Link href={href('/alerts')}>Alerts</Link>
        {expr !== '' && (
          <>
            {' · '}
            <Link href={href('/alerts/new', { expr })}>New rule with this expression</Link>
          </>
        )}
      </p>
    </>
  )
}
