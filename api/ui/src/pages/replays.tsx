import { Button, Checkbox } from '@mantine/core'
import { useMemo } from 'react'
import { type ReplayAction, useReplayAction, useReplays } from '../api/queries'
import type { Replay } from '../api/types'
import { Ago, Disclosure, Problem, Section, Status, Waiting } from '../components/bits'
import { Choice } from '../components/form'
import { Sure } from '../components/sure'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import { serverNow } from '../lib/clock'
import { absolute, count, duration, exact, none, percent, rate } from '../lib/format'
import type { Health } from '../lib/health'
import './replays.css'

const healthOf: Record<Replay['state'], Health> = {
  running: 'pending',
  paused: 'nodata',
  swapped: 'ok',
  canceled: 'nodata',
  failed: 'firing',
}

const underway = (r: Replay): boolean => r.state === 'running' || r.state === 'paused' || r.state === 'failed'

type Act = (a: ReplayAction) => void

const columns = (act: Act, busy: boolean, denied: string | undefined): Column<Replay>[] => [
  {
    id: 'state',
    label: 'State',
    className: 'c-status',
    cell: (r) => (
      <span title={r.error ?? undefined}>
        <Status health={healthOf[r.state]} word={r.state} />
      </span>
    ),
  },
  {
    id: 'replay',
    label: 'Replay',
    className: 'c-main',
    cell: (r) => (
      <Disclosure
        summary={
          <>
            {spanWords(r)}
            {r.error && <span className="bad"> {r.error}</span>}
            {r.waiting && r.state === 'running' && <span className="dim"> waits for the live views</span>}
          </>
        }
      >
        {() => <Detail replay={r} />}
      </Disclosure>
    ),
  },
  {
    id: 'progress',
    label: 'Read',
    unit: '%',
    numeric: true,
    cell: (r) => (
      <>
        <span className="progress wide" aria-hidden="true">
          <span style={{ width: `${100 * r.progress}%` }} />
        </span>
        {percent(r.progress)}
      </>
    ),
  },
  { id: 'rate', label: 'Rate', unit: 'records/s', numeric: true, wide: true, cell: (r) => (r.state === 'running' ? rate(r.rate) : none) },
  { id: 'records', label: 'Records', numeric: true, wide: true, cell: (r) => <span title={exact(r.records)}>{count(r.records)}</span> },
  { id: 'eta', label: 'Left', numeric: true, wide: true, cell: (r) => etaWords(r) },
  {
    id: 'began',
    label: 'Begun',
    numeric: true,
    wide: true,
    className: 'c-ago',
    cell: (r) => (
      <span className="dim">
        <Ago time={r.created} />
      </span>
    ),
  },
  {
    id: 'actions',
    label: 'Actions',
    numeric: true,
    cell: (r) => (
      <span className="actions">
        {r.state === 'running' && (
          <button
            type="button"
            className="plain"
            disabled={busy || denied !== undefined}
            title={denied}
            onClick={() => act({ do: 'pause', id: r.id })}
          >
            Pause
          </button>
        )}
        {(r.state === 'paused' || r.state === 'failed') && (
          <button
            type="button"
            className="plain"
            disabled={busy || denied !== undefined}
            title={denied}
            onClick={() => act({ do: 'resume', id: r.id })}
          >
            Resume
          </button>
        )}
        {underway(r) && (
          <Sure word="Cancel" sure="Really cancel" disabled={busy} denied={denied} onSure={() => act({ do: 'cancel', id: r.id })} />
        )}
        {r.state === 'swapped' && r.keep && (
          <Sure word="Drop kept" sure="Really drop" disabled={busy} denied={denied} onSure={() => act({ do: 'cancel', id: r.id })} />
        )}
      </span>
    ),
  },
]
const keyOf = (r: Replay) => r.id

/** How long it goes on, in words. */
export function etaWords(r: Pick<Replay, 'state' | 'eta_s'>): string {
  return r.state !== 'running' || r.eta_s === null ? none : duration(Math.max(1, r.eta_s) * 1000)
}

/** Which times a replay reads, in words. */
export function spanWords(r: Pick<Replay, 'from' | 'to' | 'views'>): string {
  const of = r.views.length > 0 ? `${r.views.join(', ')}, ` : ''
  if (r.from === null && r.to === null) return `${of}all that the topics hold`
  return `${of}${r.from === null ? 'the begin' : absolute(r.from)} to ${r.to === null ? 'now' : absolute(r.to)}`
}

function Detail({ replay: r }: { replay: Replay }) {
  return (
    <div className="detail">
      <dl className="pairs">
        <div>
          <dt>id</dt>
          <dd>{r.id}</dd>
        </div>
        <div>
          <dt>view version</dt>
          <dd>{r.version ?? 'not known yet'}</dd>
        </div>
        <div>
          <dt>keeps the old version</dt>
          <dd>{r.keep ? 'yes' : 'no'}</dd>
        </div>
        <div>
          <dt>changed</dt>
          <dd>{absolute(r.updated)}</dd>
        </div>
        {r.partitions.map((p) => (
          <div key={`${p.topic}/${p.partition}`}>
            <dt>
              {p.topic}/{p.partition}
            </dt>
            <dd>
              {exact(p.start)} to {exact(p.end)}, at {exact(p.position)}
            </dd>
          </div>
        ))}
      </dl>
    </div>
  )
}

const begins: [string, string][] = [
  ['', 'all that the topics hold'],
  ['3600', 'the last hour'],
  ['21600', 'the last 6 h'],
  ['86400', 'the last day'],
]

export function Replays() {
  const replays = useReplays()
  const action = useReplayAction()
  const { mutate, isPending } = action
  const reason = useDenied('editor')
  const cols = useMemo(() => columns(mutate, isPending, reason), [mutate, isPending, reason])
  const running = replays.data?.replays.some((r) => r.state === 'running' || r.state === 'paused') ?? false
  return (
    <Section title="Replays" note="the views are rebuilt from the topics in parallel to the live ones, then replace them">
      <form
        className="tools form"
        aria-label="Start a replay"
        onSubmit={(e) => {
          e.preventDefault()
          const data = new FormData(e.currentTarget)
          const back = Number(data.get('from'))
          const from = back > 0 ? String(Math.floor(serverNow() / 1000) - back) : undefined
          mutate({ do: 'start', request: { ...(from ? { from } : {}), keep: data.get('keep') !== null } })
        }}
      >
        <Choice label="Read again" name="from" value="" options={begins} />
        <Checkbox className="check" name="keep" label="keep the old version" />
        <Button
          type="submit"
          disabled={isPending || running || reason !== undefined}
          title={reason ?? (running ? 'A replay is already running' : undefined)}
        >
          Start a replay
        </Button>
      </form>
      {action.error && <Problem error={action.error} />}
      {replays.data === undefined ? (
        <Waiting what="replays" error={replays.error} />
      ) : (
        <Table label="Replays" rows={replays.data.replays} columns={cols} rowKey={keyOf} sort="" empty="No replays yet." />
      )}
    </Section>
  )
}
