import '../incident/incident.css'
import { useState } from 'react'
import { Link, useParams } from 'wouter'
import { Candidates } from '../alert/candidates-table'
import type { Incident, IncidentAlert, Why } from '../api/types'
import { Problem, Section, Since, Status, Waiting } from '../components/bits'
import { LinkButton } from '../components/button'
import { Pick } from '../components/form'
import { PageHeader } from '../components/page'
import { sentenceOf } from '../explore/differences'
import { Differences } from '../explore/differences-table'
import { Acknowledge, CopyLink, SilenceButton } from '../incident/actions'
import FiredChart from '../incident/chart'
import { leadOf } from '../incident/lead'
import { useIncident } from '../incident/queries'
import { Comments, Earlier, Members, NewInLogs, Notified, Traces } from '../incident/side'
import { Strip } from '../incident/strip'
import { comparedOf, Where } from '../incident/where'
import { clock, duration, moment } from '../lib/format'
import { servicePath, useHref } from '../lib/url'

/** One incident: what fails, since when, where it begins, what changed, who knows. */
export default function IncidentPage() {
  const { id = '' } = useParams<{ id: string }>()
  const { data: i, error } = useIncident(id)
  if (i === undefined) return <Waiting what="the incident" error={error} />
  return (
    <>
      <Head incident={i} />
      {error && <Problem error={error} />}
      <Strip incident={i} />
      <div className="incident-columns">
        <div>
          <Fired incident={i} />
          <Section title="Where it begins" note={comparedOf(i)}>
            <Where incident={i} />
            {(i.latest ?? i.at_firing) && <Candidates why={(i.latest ?? i.at_firing) as Why} label="What may be at fault" />}
          </Section>
          <Differs why={i.latest ?? i.at_firing} />
          <Section
            title="Alerts"
            note={i.dropped > 0 ? `${i.dropped} alerts, changes or notifications above the limits are left out` : undefined}
          >
            <div className="card incident-panel">
              <Members incident={i} />
            </div>
          </Section>
        </div>
        <div>
          <Section title="Example traces">
            <div className="card incident-panel">
              <Traces incident={i} />
            </div>
          </Section>
          <Section title="New since then">
            <div className="card incident-panel">
              <NewInLogs incident={i} />
            </div>
          </Section>
          <Section title="Notifications">
            <div className="card incident-panel">
              <Notified incident={i} />
            </div>
          </Section>
          <Section title="Earlier" note={i.previous_total > 0 ? `${i.previous_total} like it` : undefined}>
            <div className="card incident-panel">
              <Earlier incident={i} />
            </div>
          </Section>
          <Section title="Comments">
            <div className="card incident-panel">
              <Comments incident={i} />
            </div>
          </Section>
        </div>
      </div>
    </>
  )
}

function Head({ incident: i }: { incident: Incident }) {
  const href = useHref()
  const h = i.incident
  const why = i.latest ?? i.at_firing
  const open = h.resolved_at === null
  return (
    <PageHeader
      crumb={
        <>
          <Link href={href('/incidents')}>Incidents</Link> / {moment(Date.parse(h.fired_at))}
        </>
      }
      title={<bdi>{h.title}</bdi>}
      beside={<Status health={open ? 'firing' : 'ok'} word={open ? 'open' : 'resolved'} />}
      sentence={
        <>
          {h.names.join(', ')}
          {h.services.length > 0 && ' · '}
          {h.services.map((s, n) => (
            <span key={s}>
              {n > 0 && ', '}
              <Link href={href(servicePath(s))}>
                <bdi>{s}</bdi>
              </Link>
            </span>
          ))}
          {h.severity && ` · ${h.severity}`} · since {clock(h.since)} (
          {h.resolved_at === null ? <Since time={h.since} /> : `lasted ${duration(Date.parse(h.resolved_at) - Date.parse(h.since))}`})
          {h.fired > h.alerts && ` · fired ${h.fired} times`}
          {h.acknowledged && (
            <>
              {' · acknowledged by '}
              <bdi>{h.acknowledged.by}</bdi>
            </>
          )}
        </>
      }
      actions={
        <>
          <CopyLink />
          {h.cause !== null && why?.cause?.connection_type === '' && (
            <LinkButton href={href('/logs', { service: h.cause })}>Its logs</LinkButton>
          )}
          <SilenceButton incident={i} />
          <Acknowledge header={h} primary />
        </>
      }
    />
  )
}

/** What the failed or slow spans have in common. */
function Differs({ why }: { why: Why | null | undefined }) {
  const d = why?.differences
  if (d === undefined || d.list.length === 0) return null
  return (
    <Section
      title="What differs"
      note={sentenceOf(d.list, d.select) ?? `${d.selected} ${d.select} spans of ${d.service} against ${d.others} others`}
    >
      <Differences label="What differs" list={d.list} selected={d.select} />
    </Section>
  )
}

const nameOf = (m: IncidentAlert) => [m.labels.alertname, m.labels.service_name ?? m.labels.service].filter(Boolean).join(' ')

function Fired({ incident: i }: { incident: Incident }) {
  const [chosen, setChosen] = useState<string>()
  const alert = i.members.find((m) => m.fingerprint === chosen) ?? leadOf(i)
  if (alert === undefined) return null
  return (
    <Section
      title="What fired"
      note={<code className="incident-expr">{alert.expr}</code>}
      actions={
        i.members.length > 1 && (
          <Pick
            label="Alert"
            hidden
            value={alert.fingerprint}
            options={i.members.map((m) => [m.fingerprint, nameOf(m)] as const)}
            onChange={setChosen}
          />
        )
      }
    >
      <FiredChart incident={i} alert={alert} title={nameOf(alert)} />
    </Section>
  )
}
