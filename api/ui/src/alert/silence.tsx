import { Button, TextInput } from '@mantine/core'
import { type FormEvent, useMemo, useState } from 'react'
import { useMe, useSilenceAction, useSilences } from '../api/queries'
import type { Alert, Silence } from '../api/types'
import { Ago, Disclosure, Labels, Problem, Section, Status } from '../components/bits'
import { Check, Pick } from '../components/form'
import { Sure } from '../components/sure'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import { serverNow } from '../lib/clock'
import { absolute, duration } from '../lib/format'
import { matcherText, matches, silenceOf } from './matchers'

const named = ['alertname']
const shownHits = 10

const spans: [string, number][] = [
  ['30 min', 1800],
  ['1 h', 3600],
  ['4 h', 14_400],
  ['1 day', 86_400],
  ['1 week', 604_800],
]

/** Keeps an alert, and all that have the labels chosen, from being notified of for a while. */
export function SilenceDetails({ alert, all }: { alert: Alert; all: readonly Alert[] }) {
  return (
    <Disclosure summary="Silence" row={false}>
      {() => <SilenceForm alert={alert} all={all} />}
    </Disclosure>
  )
}

export function SilenceForm({ alert, all }: { alert: Alert; all: readonly Alert[] }) {
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
  const hits = all.filter((a) => matches(labels, a.labels))
  const hit = hits.length
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
          <Check
            key={n}
            label={
              <>
                <span className="dim">{n}=</span>
                <bdi>{alert.labels[n]}</bdi>
              </>
            }
            checked={chosen.includes(n)}
            onChange={(on) => setChosen(on ? [...chosen, n] : chosen.filter((c) => c !== n))}
          />
        ))}
      </fieldset>
      <div className="silence-line">
        <Pick
          label="For"
          value={String(seconds)}
          onChange={(v) => setSeconds(Number(v))}
          options={spans.map(([word, s]) => [String(s), word] as const)}
        />
        <TextInput
          className="field field-wide"
          label="Why"
          value={comment}
          onChange={(e) => setComment(e.currentTarget.value)}
          withAsterisk={false}
          required
        />
        <Button type="submit" variant="filled" disabled={isPending || chosen.length === 0 || reason !== undefined} title={reason}>
          Silence {hit === 1 ? '1 active alert' : `${hit} active alerts`}
        </Button>
      </div>
      {hit > 0 && (
        <ul className="silence-hits" aria-label="Alerts that it hits">
          {hits.slice(0, shownHits).map((a) => (
            <li key={a.fingerprint}>
              <Status health={a.state} /> {a.labels.alertname} <Labels labels={a.labels} without={named} />
            </li>
          ))}
          {hit > shownHits && <li className="dim">and {hit - shownHits} more</li>}
        </ul>
      )}
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
