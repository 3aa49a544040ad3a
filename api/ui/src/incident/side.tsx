import { Button, Textarea } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import { Link } from 'wouter'
import type { Incident } from '../api/types'
import { Ago, Labels, Problem, Status } from '../components/bits'
import { LinkButton } from '../components/button'
import { useDenied } from '../identity/may'
import { absolute, alertValue, clock, count, duration, millis, moment } from '../lib/format'
import { tracePath, useHref } from '../lib/url'
import { incidentPath } from './lead'
import { useIncidentAction } from './queries'

const shown = 5
const named = ['alertname']

export function Traces({ incident: i }: { incident: Incident }) {
  const href = useHref()
  const list = (i.latest?.traces.length ? i.latest.traces : i.at_firing?.traces) ?? []
  if (list.length === 0) return <p className="quiet">No trace was kept as an example.</p>
  return (
    <ul className="incident-list">
      {list.slice(0, shown).map((t) => (
        <li key={t.trace_id}>
          <Link href={href(tracePath(t.trace_id), { span: t.span_id })} className="mono" title={t.trace_id}>
            {t.trace_id.slice(0, 8)}
          </Link>
          <span className="incident-grow">
            <bdi>{t.service}</bdi> <bdi>{t.operation}</bdi>
          </span>
          <span className="num">{millis(t.duration_ms)} ms</span>
          <span className={t.status === 'STATUS_CODE_ERROR' ? 'bad' : 'dim'}>{t.status === 'STATUS_CODE_ERROR' ? 'error' : 'ok'}</span>
        </li>
      ))}
    </ul>
  )
}

/** What was seen for the first time: versions, exceptions, log patterns. */
export function NewInLogs({ incident: i }: { incident: Incident }) {
  const href = useHref()
  const why = i.latest ?? i.at_firing
  const none = !why || why.deployments.length + why.errors.length + why.patterns.length === 0
  if (none) return <p className="quiet">No new version, exception or log pattern was seen.</p>
  return (
    <ul className="incident-list incident-new">
      {why.deployments.map((d) => (
        <li key={`${d.service} ${d.version}`}>
          <span className="version">version</span>
          <span className="incident-grow">
            <bdi>{d.service}</bdi> <b>{d.version}</b>, first seen {clock(d.first_seen)}
          </span>
        </li>
      ))}
      {why.errors.map((e) => (
        <li key={`${e.service} ${e.type} ${e.message}`}>
          <span className="version">{count(e.count)} ×</span>
          <span className="incident-grow">
            <Link href={href('/errors', { service: e.service, type: e.type })}>
              <bdi>{e.type || 'exception'}</bdi>
            </Link>{' '}
            <bdi className="dim">{e.message}</bdi>
          </span>
        </li>
      ))}
      {why.patterns.map((p) => (
        <li key={p.pattern}>
          <span className="version">{count(p.count)} ×</span>
          <code className="incident-grow">{p.pattern}</code>
        </li>
      ))}
    </ul>
  )
}

export function Notified({ incident: i }: { incident: Incident }) {
  const runbook = i.members.map((m) => m.annotations.runbook_url).find((u) => u !== undefined && /^https?:\/\//.test(u))
  return (
    <>
      {i.deliveries.length === 0 ? (
        <p className="quiet">No receiver was notified so far.</p>
      ) : (
        <ul className="incident-list">
          {i.deliveries.slice(-8).map((d) => (
            <li key={`${d.time} ${d.receiver} ${d.integration}`}>
              <span className="incident-grow">
                <bdi>{d.receiver}</bdi> <span className="dim">{d.integration}</span>
              </span>
              <span title={absolute(d.time)}>{clock(d.time)}</span>
              {d.error === null ? (
                <Status health="ok" word={d.resolved ? 'resolved sent' : `sent in ${duration(d.duration_ms)}`} />
              ) : (
                <span title={d.error}>
                  <Status health="firing" word="failed" />
                </span>
              )}
            </li>
          ))}
        </ul>
      )}
      {runbook && (
        <p>
          Runbook: <a href={runbook}>{runbook}</a>
        </p>
      )}
    </>
  )
}

export function Earlier({ incident: i }: { incident: Incident }) {
  const href = useHref()
  if (i.previous.length === 0) return <p className="quiet">No earlier incident had this cause and these alerts.</p>
  return (
    <ul className="incident-list">
      {i.previous.slice(0, shown).map((p) => (
        <li key={p.id}>
          <Link href={href(incidentPath(p.id))}>{moment(Date.parse(p.fired_at))}</Link>
          <span className="incident-grow dim">
            {p.resolved_at ? `ended after ${duration(Date.parse(p.resolved_at) - Date.parse(p.fired_at))}` : 'open'}
          </span>
        </li>
      ))}
    </ul>
  )
}

export function Members({ incident: i }: { incident: Incident }) {
  const href = useHref()
  return (
    <ul className="incident-list">
      {i.members.map((m) => (
        <li key={m.fingerprint}>
          <Status health={m.state === 'firing' ? 'firing' : 'ok'} word={m.state} />
          <span className="incident-grow">
            <b>{m.labels.alertname}</b> <Labels labels={m.labels} without={named} />
            {m.annotations.summary && (
              <span className="dim">
                {' '}
                <bdi>{m.annotations.summary}</bdi>
              </span>
            )}
          </span>
          <span className="num" title="Value">
            {alertValue(m.value)}
          </span>
          <span className="dim num">{m.fired > 1 ? `fired ${m.fired} times` : clock(m.fired_at)}</span>
          {m.expr !== null && <LinkButton href={href(`/alerts/rules/${encodeURIComponent(m.rule_id)}`)}>Rule</LinkButton>}
        </li>
      ))}
    </ul>
  )
}

export function Comments({ incident: i }: { incident: Incident }) {
  const [text, setText] = useState('')
  const { mutate, isPending, error } = useIncidentAction(i.incident.id)
  const reason = useDenied('editor')
  const send = (e: FormEvent) => {
    e.preventDefault()
    mutate({ do: 'comment', text }, { onSuccess: () => setText('') })
  }
  return (
    <>
      {i.comments.length > 0 && (
        <ul className="incident-comments">
          {i.comments.map((c) => (
            <li key={`${c.at} ${c.by}`}>
              <p className="dim">
                <bdi>{c.by}</bdi> · <Ago time={c.at} />
              </p>
              <p className="incident-comment">
                <bdi>{c.text}</bdi>
              </p>
            </li>
          ))}
        </ul>
      )}
      <form onSubmit={send} className="incident-form">
        <Textarea
          aria-label="Comment"
          placeholder="What did you find, what did you do?"
          rows={2}
          maxLength={4000}
          value={text}
          disabled={reason !== undefined}
          onChange={(e) => setText(e.currentTarget.value)}
        />
        <Button type="submit" disabled={isPending || text.trim() === '' || reason !== undefined} title={reason}>
          Comment
        </Button>
      </form>
      {error && <Problem error={error} />}
    </>
  )
}
