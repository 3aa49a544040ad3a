import './incident.css'
import { Bell, Target } from 'lucide-react'
import { Fragment, memo, Suspense, useMemo } from 'react'
import { Link } from 'wouter'
import { budgetText } from '../alert/budget'
import { useSLOs } from '../alert/slo-queries'
import type { Incident, IncidentHeader } from '../api/types'
import { Ago, Problem, Since, Status } from '../components/bits'
import { LinkButton } from '../components/button'
import { clock, duration, millis, percent } from '../lib/format'
import { shareClass } from '../lib/health'
import { lazyPage } from '../lib/lazy'
import { tracePath, useHref } from '../lib/url'
import { Acknowledge, SilenceButton } from './actions'
import { incidentPath, leadOf } from './lead'
import { type Stop, wayToCause } from './path'
import { useIncident, useIncidents, useRuleCount } from './queries'

const FiredChart = lazyPage(() => import('./chart')) // with what draws charts

const shownOthers = 3

/** The open incidents on the first screen: the newest with its cause, the others as links. Its place has one height, whatever is open. */
export const IncidentCard = memo(function IncidentCard({ unhealthy }: { unhealthy: number | undefined }) {
  const open = useIncidents({ state: 'open', limit: 20 })
  const recent = useIncidents({ state: 'resolved', limit: 5 })
  const first = open.data?.incidents[0]
  const answer = useIncident(first?.id)
  const others = open.data?.incidents.slice(1) ?? []
  const incident = answer.data?.incident.id === first?.id ? answer.data : undefined
  return (
    <section className={`card incident-card${first ? ' incident-open' : ''}`} aria-label="Incidents">
      {open.error && <Problem error={open.error} />}
      {first ? (
        <Open key={first.id} header={first} incident={incident} others={others} />
      ) : (
        open.data && <Calm recent={recent.data?.incidents ?? []} unhealthy={unhealthy} />
      )}
    </section>
  )
})

function Open({ header: h, incident, others }: { header: IncidentHeader; incident: Incident | undefined; others: IncidentHeader[] }) {
  const href = useHref()
  const why = incident?.latest ?? incident?.at_firing
  const lead = leadOf(incident)
  const trace = why?.traces[0]
  const notified = incident?.deliveries.find((d) => d.error === null && !d.resolved)
  return (
    <>
      <div className="incident-main">
        <p className="incident-facts">
          <Status health="firing" word="incident" />
          <span className="incident-since">
            since <b title={h.since}>{clock(h.since)}</b> · <Since time={h.since} />
          </span>
          <span className="incident-count">{h.alerts === 1 ? '1 alert' : `${h.alerts} alerts`}</span>
          <span>
            {h.acknowledged ? (
              <>
                acknowledged by <bdi>{h.acknowledged.by}</bdi>
              </>
            ) : (
              'not acknowledged'
            )}
          </span>
          {notified && (
            <span>
              <bdi>{notified.receiver}</bdi> notified {clock(notified.time)}
            </span>
          )}
        </p>
        <h2 className="incident-title">
          <Link href={href(incidentPath(h.id))}>
            <bdi>{h.title}</bdi>
          </Link>
        </h2>
        <Way stops={wayToCause(why)} />
        <Changed incident={incident} />
        <div className="incident-actions">
          <LinkButton primary href={href(incidentPath(h.id))}>
            Open incident
          </LinkButton>
          <Acknowledge header={h} />
          {incident && <SilenceButton incident={incident} />}
          {trace && <LinkButton href={href(tracePath(trace.trace_id), { span: trace.span_id })}>Example trace</LinkButton>}
          {h.cause !== null && why?.cause?.connection_type === '' && (
            <LinkButton href={href('/logs', { service: h.cause })}>Its logs</LinkButton>
          )}
        </div>
        {others.length > 0 && (
          <p className="incident-others">
            Also open:{' '}
            {others.slice(0, shownOthers).map((o, n) => (
              <Fragment key={o.id}>
                {n > 0 && ' · '}
                <Link href={href(incidentPath(o.id))}>
                  <bdi>{o.title}</bdi>
                </Link>
              </Fragment>
            ))}
            {others.length > shownOthers && (
              <>
                {' · '}
                <Link href={href('/incidents')}>{others.length - shownOthers} more</Link>
              </>
            )}
          </p>
        )}
      </div>
      <div className="incident-chart">
        <Suspense>
          {incident && lead && <FiredChart incident={incident} alert={lead} height={150} title={lead.labels.alertname ?? ''} />}
        </Suspense>
      </div>
    </>
  )
}

function Way({ stops }: { stops: Stop[] }) {
  if (stops.length === 0) return <p className="incident-way quiet">No cause below the service was found.</p>
  return (
    <ol className="incident-way">
      {stops.map((s) => (
        <li key={s.name} className={s.cause ? 'way-cause' : undefined}>
          <b title={s.name}>
            <bdi>{s.name}</bdi>
          </b>
          <span>
            {s.edge ? (
              <>
                <span className={shareClass(s.edge.error_rate)}>{percent(s.edge.error_rate)} % failed</span> · {millis(s.edge.mean_ms)} ms
              </>
            ) : (
              'has the alert'
            )}
          </span>
        </li>
      ))}
    </ol>
  )
}

function Changed({ incident }: { incident: Incident | undefined }) {
  const why = incident?.latest ?? incident?.at_firing
  const versions = useMemo(() => why?.deployments.slice(0, 2) ?? [], [why])
  const said = why?.patterns[0]
  return (
    <p className="incident-changed">
      {versions.length > 0 ? (
        <>
          <span className="version">What changed</span>{' '}
          {versions.map((d) => (
            <span key={`${d.service}${d.version}`}>
              <bdi>{d.service}</bdi> <b>{d.version}</b> first seen {clock(d.first_seen)}{' '}
            </span>
          ))}
        </>
      ) : said ? (
        <>
          <span className="version">New in the logs</span> <code>{said.pattern}</code>
        </>
      ) : (
        <span className="dim">No new version and no new log pattern was seen.</span>
      )}
    </p>
  )
}

/** Nothing fires. Whether that means anything depends on whether there are rules, and on how services are doing by their numbers. */
function Calm({ recent, unhealthy }: { recent: IncidentHeader[]; unhealthy: number | undefined }) {
  const href = useHref()
  const rules = useRuleCount()
  const sick = unhealthy !== undefined && unhealthy > 0
  return (
    <>
      <div className="incident-main">
        <p className="incident-facts">
          {rules === 0 ? (
            <Status health="nodata" word="No alert rules: nothing can fire" />
          ) : (
            <Status health={sick ? 'nodata' : 'ok'} word="No open incident" />
          )}
          {sick && (
            <span className="bad">
              {unhealthy === 1 ? '1 service is unhealthy by its numbers' : `${unhealthy} services are unhealthy by their numbers`}, see
              below
            </span>
          )}
        </p>
        {rules === 0 && (
          <p className="quiet">
            Health below comes from the numbers of each service. <Link href={href('/alerts/new')}>Create a rule</Link> to be notified.
          </p>
        )}
        {rules === 0 && recent.length === 0 ? null : recent.length === 0 ? (
          <p className="quiet">Alerts that fire for one reason appear here as one incident, with the cause.</p>
        ) : (
          <>
            <h2 className="incident-head">Resolved lately</h2>
            <ul className="incident-recent">
              {recent.map((h) => (
                <li key={h.id}>
                  <span className="incident-when dim">
                    <Ago time={h.resolved_at} />
                  </span>
                  <Link href={href(incidentPath(h.id))}>
                    <bdi>{h.title}</bdi>
                  </Link>
                  <span className="incident-cause dim">
                    {h.resolved_at && `lasted ${duration(Date.parse(h.resolved_at) - Date.parse(h.fired_at))}, `}
                    {h.cause === null ? (
                      'cause unknown'
                    ) : (
                      <>
                        cause <bdi>{h.cause}</bdi>
                      </>
                    )}
                  </span>
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
      <Watched rules={rules} />
    </>
  )
}

/** What can open an incident, and what is closest to it. */
function Watched({ rules }: { rules: number | undefined }) {
  const href = useHref()
  const slos = useSLOs().data?.slos
  const budgets = slos?.flatMap((s) => s.status.budget_remaining ?? []) ?? []
  return (
    <div className="incident-chart">
      <h2 className="incident-head">Watched</h2>
      <ul className="incident-recent">
        <li>
          <LinkButton href={href('/alerts')} icon={Bell}>
            {rules === undefined ? 'Alert rules' : rules === 1 ? '1 alert rule' : `${rules} alert rules`}
          </LinkButton>
        </li>
        <li>
          <LinkButton href={href('/slos')} icon={Target}>
            {slos === undefined ? 'SLOs' : slos.length === 1 ? '1 SLO' : `${slos.length} SLOs`}
          </LinkButton>
          {budgets.length > 0 && <span className="dim">least error budget left: {budgetText(Math.min(...budgets))} %</span>}
        </li>
        {slos?.length === 0 && (
          <li>
            <span className="dim">An SLO warns when its error budget burns too fast.</span>
          </li>
        )}
      </ul>
    </div>
  )
}
