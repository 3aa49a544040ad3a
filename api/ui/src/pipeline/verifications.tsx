import { Button } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useMemo } from 'react'
import { getJSON, sendJSON } from '../api/client'
import { useEvery } from '../api/queries'
import type { Verification, VerificationList, VerificationRequest } from '../api/types'
import { Ago, Disclosure, Problem, Section, Status, Waiting } from '../components/bits'
import { Choice } from '../components/form'
import { Name } from '../components/name'
import { Sure } from '../components/sure'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import { absolute, count, exact, none } from '../lib/format'
import type { Health } from '../lib/health'

const lengths: [string, string][] = [
  ['', 'the last 10 min'],
  ['3600', 'the last hour'],
  ['all', 'all that can be verified'],
]

/** The part of what can be verified that the form names. */
export function requestOf(length: string, list: Pick<VerificationList, 'from' | 'to'>): VerificationRequest {
  if (length === '' || list.from === null || list.to === null) return {}
  if (length === 'all') return { from: list.from, to: list.to }
  const from = Math.max(Date.parse(list.from), Date.parse(list.to) - Number(length) * 1000)
  return { from: new Date(from).toISOString(), to: list.to }
}

/** The result in a word: only cells that were compared can be equal. */
export function outcome(v: Verification): { health: Health; word: string } {
  if (v.differing > 0) return { health: 'firing', word: `${count(v.differing)} differ` }
  if (v.state === 'running') return { health: 'pending', word: `running, ${v.compared + v.skipped} of ${v.minutes} min` }
  if (v.state === 'failed') return { health: 'firing', word: 'failed' }
  if (v.state === 'canceled') return { health: 'nodata', word: 'canceled' }
  return v.cells > 0 ? { health: 'ok', word: 'all equal' } : { health: 'nodata', word: 'nothing compared' }
}

const rangeWords = (v: Verification): string => (v.from === null ? none : `${absolute(v.from)}, ${v.minutes} min`)

const columns = (cancel: (id: string) => void, busy: boolean, denied: string | undefined): Column<Verification>[] => [
  { id: 'state', label: 'Result', className: 'c-status', cell: (v) => <Status {...outcome(v)} /> },
  {
    id: 'range',
    label: 'Event time',
    className: 'c-main',
    cell: (v) => (
      <Disclosure
        summary={
          <>
            {rangeWords(v)}
            {v.error !== null && <span className="bad"> {v.error}</span>}
          </>
        }
      >
        {() => <Detail of={v} />}
      </Disclosure>
    ),
  },
  { id: 'cells', label: 'Cells', numeric: true, cell: (v) => <span title={exact(v.cells)}>{count(v.cells)}</span> },
  {
    id: 'differing',
    label: 'Differing',
    numeric: true,
    cell: (v) => <span className={v.differing > 0 ? 'bad' : undefined}>{exact(v.differing)}</span>,
  },
  { id: 'minutes', label: 'Compared', unit: 'min', numeric: true, wide: true, cell: (v) => v.compared },
  {
    id: 'skipped',
    label: 'Skipped',
    unit: 'min',
    title: 'Minutes of which the topics no longer hold every record',
    numeric: true,
    wide: true,
    cell: (v) => v.skipped,
  },
  { id: 'began', label: 'Started', numeric: true, wide: true, className: 'c-ago', cell: (v) => <Ago time={v.began} /> },
  {
    id: 'actions',
    label: 'Actions',
    numeric: true,
    cell: (v) =>
      v.state === 'running' && <Sure word="Cancel" sure="Really cancel" disabled={busy} denied={denied} onSure={() => cancel(v.id)} />,
  },
]
const keyOf = (v: Verification) => v.id

function Detail({ of: v }: { of: Verification }) {
  return (
    <div className="detail">
      <dl className="pairs">
        <div>
          <dt>records read</dt>
          <dd>{exact(v.records)}</dd>
        </div>
        <div>
          <dt>cells not compared</dt>
          <dd>{exact(v.uncertain)}</dd>
        </div>
        <div>
          <dt>computing time</dt>
          <dd>{v.busy_s.toFixed(1)} s</dd>
        </div>
      </dl>
      {v.differences.length > 0 && <Differences of={v} />}
    </div>
  )
}

function Differences({ of: v }: { of: Verification }) {
  return (
    <>
      <p>
        {v.differences.length < v.differing
          ? `The first ${v.differences.length} of ${exact(v.differing)} cells that differ:`
          : 'The cells that differ:'}
      </p>
      <ul className="plain-list" aria-label="Cells that differ">
        {v.differences.map((d) => (
          <li key={`${d.view}/${d.series}/${d.bucket}`}>
            <Name of={d.series} /> <span className="dim">in {d.view} at</span> {absolute(d.bucket)}: topics {d.topics},{' '}
            <b className="bad">views {d.views}</b>
          </li>
        ))}
      </ul>
      <p>
        <a href="/docs/reliability">What a difference means</a>
      </p>
    </>
  )
}

/** What is compared all the time. */
function Continuous({ of: v }: { of: Verification | null }) {
  if (v === null)
    return (
      <p className="dim">
        The continuous comparison is off. <code>WATCHINGCAT_VERIFY_SHARE</code> turns it on.
      </p>
    )
  return (
    <>
      <p>
        <Status {...outcome({ ...v, state: v.state === 'running' ? 'finished' : v.state })} /> in {count(v.cells)} cells of{' '}
        {exact(v.compared)} min, compared continuously since the process started
        {v.error !== null && <span className="bad">: {v.error}</span>}.
      </p>
      {v.differences.length > 0 && <Differences of={v} />}
    </>
  )
}

const key = ['verifications']

/** The views compared with the topics: the results, and what it takes to compare again. */
export function Verifications() {
  const queries = useQueryClient()
  const { data, error } = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => getJSON<VerificationList>('/api/v1/verifications', {}, signal),
    refetchInterval: useEvery(2_000),
  })
  const onSettled = () => queries.invalidateQueries({ queryKey: key })
  const start = useMutation({
    mutationFn: (request: VerificationRequest) => sendJSON<Verification>('POST', '/api/v1/verifications', request),
    onSettled,
  })
  const cancel = useMutation({
    mutationFn: (id: string) => sendJSON<undefined>('DELETE', `/api/v1/verifications/${encodeURIComponent(id)}`),
    onSettled,
  })
  const reason = useDenied('editor')
  const cols = useMemo(() => columns(cancel.mutate, cancel.isPending, reason), [cancel.mutate, cancel.isPending, reason])
  const running = data?.verifications.some((v) => v.state === 'running') ?? false
  const nothing = data !== undefined && (data.from === null || data.to === null)
  const why = reason ?? (running ? 'A verification is already running' : nothing ? 'No minute can be verified yet' : undefined)
  return (
    <Section title="Verifications" note="the topics are counted again, with other code, and compared with the views">
      {data === undefined ? (
        <Waiting what="verifications" error={error} />
      ) : (
        <>
          <Continuous of={data.continuous} />
          <form
            className="tools form"
            aria-label="Start a verification"
            onSubmit={(e) => {
              e.preventDefault()
              start.mutate(requestOf(String(new FormData(e.currentTarget).get('length') ?? ''), data))
            }}
          >
            <Choice label="Compare" name="length" value="" options={lengths} />
            <Button type="submit" disabled={start.isPending || why !== undefined} title={why}>
              Start a verification
            </Button>
          </form>
          {start.error && <Problem error={start.error} />}
          {cancel.error && <Problem error={cancel.error} />}
          <Table label="Verifications" rows={data.verifications} columns={cols} rowKey={keyOf} sort="" empty="No verifications yet." />
        </>
      )}
    </Section>
  )
}
