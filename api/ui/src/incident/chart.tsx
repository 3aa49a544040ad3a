import { useMemo } from 'react'
import type { Incident, IncidentAlert } from '../api/types'
import { Chart, type Line, type Mark } from '../chart/chart'
import { Problem } from '../components/bits'
import { LinkButton } from '../components/button'
import { serverNow } from '../lib/clock'
import { sig3 } from '../lib/format'
import { useHref } from '../lib/url'
import { splitCondition } from './condition'
import { useExpression } from './queries'

const before = 900 // seconds before it fired

/** What an alert looks at, from before it fired until now or until a while after it resolved, with its threshold. */
export default function FiredChart({
  incident: i,
  alert,
  height,
  title,
}: {
  incident: Incident
  alert: IncidentAlert
  height?: number
  title: string
}) {
  const href = useHref()
  const condition = useMemo(() => (alert.expr === null ? undefined : splitCondition(alert.expr)), [alert.expr])
  const open = i.incident.resolved_at === null
  const start = Date.parse(i.incident.since) / 1000 - before
  const end = i.incident.resolved_at === null ? serverNow() / 1000 : Date.parse(i.incident.resolved_at) / 1000 + 300
  const answer = useExpression(condition?.expr ?? alert.expr ?? undefined, alert.labels, start, end, open)
  const times = answer.data?.times ?? []
  const threshold = condition?.threshold
  const lines = useMemo<Line[]>(() => {
    const out: Line[] = [{ label: 'value', color: '--c-error', values: answer.data?.values ?? [], fill: true }]
    if (threshold !== undefined)
      out.push({ label: `threshold ${condition?.op ?? ''}`, color: '--dim', dash: [4, 4], values: times.map(() => threshold) })
    return out
  }, [answer.data, threshold, condition?.op, times])
  const deployments = (i.latest ?? i.at_firing)?.deployments
  const marks = useMemo<Mark[]>(
    () => (deployments ?? []).map((d) => ({ time: Date.parse(d.first_seen) / 1000, label: `${d.service} ${d.version}` })),
    [deployments],
  )
  const bands = useMemo(
    () => [
      {
        from: Date.parse(i.incident.fired_at) / 1000,
        to: i.incident.resolved_at === null ? Number.MAX_SAFE_INTEGER : Date.parse(i.incident.resolved_at) / 1000,
        color: '--firing-bg',
      },
    ],
    [i.incident.fired_at, i.incident.resolved_at],
  )
  if (alert.expr === null) return <p className="quiet">The rule of this alert was deleted or changed.</p>
  if (answer.error) return <Problem error={answer.error} />
  return (
    <Chart
      title={title}
      unit=""
      times={times}
      lines={lines}
      format={sig3}
      span={[times[0] ?? start, times.at(-1) ?? end]}
      marks={marks}
      bands={bands}
      {...(height === undefined ? {} : { height })}
      action={height === undefined && <LinkButton href={href(`/alerts/rules/${encodeURIComponent(alert.rule_id)}`)}>Open rule</LinkButton>}
    />
  )
}
