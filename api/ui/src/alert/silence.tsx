import { type FormEvent, useMemo, useState } from 'react'
import { useMe, useSilenceAction, useSilences } from '../api/queries'
import type { Alert, Silence } from '../api/types'
import { Ago, Problem, Section } from '../components/bits'
import { Sure } from '../components/sure'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import { serverNow } from '../lib/clock'
import { absolute, duration } from '../lib/format'
import { matcherText, matches, silenceOf } from './matchers'

const spans: [string, number][] = [
  ['30 min', 1800],
  ['1 h', 3600],
  ['4 h', 14_400],
  ['1 day', 86_400],
  ['1 week', 604_800],
]

/** Keeps an alert, and all that have the labels chosen, from being notified of for a while. */
export function SilenceDetails({ alert, all }: { alert: Alert; all: readonly Alert[] }) {
  const [open, setOpen] = useState(false)
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>Silence</summary>
      {open && <SilenceForm alert={alert} all={all} />}
    </details>
  )
}

function SilenceForm({ alert, all }: { alert: Alert; all: readonly Alert[] }) {
  const names = Object.keys(alert.labels)
  const [chosen, setChosen] = useState<readonly string[]>(names)
  const [seconds, setSeconds] = useState(3600)
  const [comment, setComment] = useState('')
  const me = useMe().data
  const reason = useDenied('editor')
  const { mutate, isPending, data, error, variables } = useSilenceAction()
  const labels = useMemo(
    () => Object.fromEntries(chosen.map((n) => [n, alert.labels[n] ?? ''])) as Record<string, string>,
    [chosen, alert.labels],
  )
  const hit = all.filter((a) => matches(labels, a.labels)).length
  const send = (e: FormEvent) => {
    e.preventDefault()
    mutate({ do: 'make', silence: silenceOf(labels, serverNow(), seconds, me?.name || 'page', comment) })
  }
  if (data?.silenceID !== undefined && variables?.do === 'make')
    return (
      <p role="status">
        Silenced until {absolute(variables.silence.endsAt)}. <span className="dim">It is in the list of silences below.</span>
      </p>
    )
  return (
    <form className="silence" aria-label={`Silence ${alert.labels.alertname ?? ''}`} onSubmit={send}>
      <fieldset>
        <legend>Alerts with all of</legend>
        {names.map((n) => (
          <label key={n}>
            <input
              type="checkbox"
              checked={chosen.includes(n)}
              onChange={(e) => setChosen(e.target.checked ? [...chosen, n] : chosen.filter((c) => c !== n))}
            />{' '}
            <span className="dim">{n}=</span>
            {alert.labels[n]}
          </label>
        ))}
      </fieldset>
      <div className="silence-line">
        <label className="field">
          <span>For</span>
          <select value={seconds} onChange={(e) => setSeconds(Number(e.target.value))}>
            {spans.map(([word, s]) => (
              <option key={s} value={s}>
                {word}
              </option>
            ))}
          </select>
        </label>
        <label className="field field-wide">
          <span>Why</span>
          <input value={comment} onChange={(e) => setComment(e.target.value)} placeholder="optional" required />
        </label>
        <button type="submit" className="button" disabled={isPending || chosen.length === 0 || reason !== undefined} title={reason}>
          Silence {hit === 1 ? '1 active alert' : `${hit} active alerts`}
        </button>
      </div>
      {error && <Problem error={error} />}
    </form>
  )
}

const keyOf = (s: Silence) => s.id

/** The silences in force and to come, with a way to end them. */
export function Silences() {
  const list = useSilences()
  const { mutate, isPending, error } = useSilenceAction()
  const reason = useDenied('editor')
  const rows = useMemo(() => list.data?.filter((s) => s.status.state !== 'expired'), [list.data])
  const columns = useMemo<Column<Silence>[]>(
    () => [
      {
        id: 'alerts',
        label: 'Alerts with',
        className: 'c-name',
        cell: (s) => <span className="wrap">{s.matchers.map(matcherText).join(', ')}</span>,
      },
      { id: 'why', label: 'Why', wide: true, cell: (s) => s.comment },
      { id: 'who', label: 'By', wide: true, cell: (s) => s.createdBy },
      {
        id: 'since',
        label: 'Since',
        numeric: true,
        wide: true,
        className: 'c-ago',
        cell: (s) => (
          <span className="dim">
            <Ago time={s.startsAt} />
          </span>
        ),
      },
      {
        id: 'left',
        label: 'Left',
        numeric: true,
        cell: (s) => <span title={absolute(s.endsAt)}>{duration(Math.max(1000, Date.parse(s.endsAt) - serverNow()))}</span>,
      },
      {
        id: 'end',
        label: 'Actions',
        numeric: true,
        cell: (s) => (
          <Sure word="End" sure="Really end" disabled={isPending} denied={reason} onSure={() => mutate({ do: 'end', id: s.id })} />
        ),
      },
    ],
    [mutate, isPending, reason],
  )
  if (rows === undefined || rows.length === 0) return null // without any there is nothing to show, nor where notifications are off
  return (
    <Section title="Silences" note={`${rows.length}`}>
      {error && <Problem error={error} />}
      <Table label="Silences" rows={rows} columns={columns} rowKey={keyOf} sort="" empty="" />
    </Section>
  )
}
