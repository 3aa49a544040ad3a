import { Button } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useMemo } from 'react'
import { getJSON, sendJSON } from '../api/client'
import { useEvery } from '../api/queries'
import type { Backup, BackupList, BackupRequest } from '../api/types'
import { Ago, Problem, Section, Status, Waiting } from '../components/bits'
import { Field } from '../components/form'
import { Sure } from '../components/sure'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import { serverNow } from '../lib/clock'
import { bytes, duration, exact, none } from '../lib/format'
import type { Health } from '../lib/health'

const healthOf: Record<Backup['state'], Health> = { running: 'pending', complete: 'ok', failed: 'firing', canceled: 'nodata' }

/** How safe the state is, in a sentence. A schedule whose newest complete backup is two intervals old has failed. */
export function protection(list: BackupList, now: number): { health: Health; word: string } {
  const done = list.backups.filter((b) => b.state === 'complete').map((b) => Date.parse(b.started))
  const every = list.interval_s === null ? undefined : list.interval_s * 1000
  if (done.length === 0) return { health: every === undefined ? 'nodata' : 'pending', word: 'No complete backup is known.' }
  const age = now - Math.max(...done)
  const late = every !== undefined && age > 2 * every
  return { health: late ? 'firing' : 'ok', word: `The last complete backup is ${duration(Math.max(1000, age))} old.` }
}

const columns = (cancel: (id: string) => void, busy: boolean): Column<Backup>[] => [
  { id: 'state', label: 'State', className: 'c-status', cell: (b) => <Status health={healthOf[b.state]} word={b.state} /> },
  {
    id: 'location',
    label: 'Location',
    className: 'c-main',
    cell: (b) => (
      <>
        <span className="name" title={b.location}>
          {b.location}
        </span>
        {b.error !== null && <span className="bad"> {b.error}</span>}
      </>
    ),
  },
  { id: 'size', label: 'Size', numeric: true, cell: (b) => <span title={`${exact(b.bytes)} bytes`}>{bytes(b.bytes)}</span> },
  { id: 'source', label: 'Started by', wide: true, cell: (b) => (b.scheduled ? 'the schedule' : 'a user') },
  {
    id: 'took',
    label: 'Took',
    numeric: true,
    wide: true,
    cell: (b) => (b.finished === null ? none : duration(Math.max(1, Date.parse(b.finished) - Date.parse(b.started)))),
  },
  { id: 'started', label: 'State as of', numeric: true, className: 'c-ago', cell: (b) => <Ago time={b.started} /> },
  {
    id: 'actions',
    label: 'Actions',
    numeric: true,
    cell: (b) => b.state === 'running' && <Sure word="Cancel" sure="Really cancel" disabled={busy} onSure={() => cancel(b.id)} />,
  },
]
const keyOf = (b: Backup) => b.id

/** Backups of the state, which only administrators see: a backup holds the users and their tokens. */
export function Backups() {
  const reason = useDenied('admin')
  return (
    <Section title="Backups" note="of the whole state, made while the process runs">
      {reason === undefined ? <List /> : <p className="dim">{reason}</p>}
    </Section>
  )
}

const key = ['backups']

function List() {
  const queries = useQueryClient()
  const { data, error } = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => getJSON<BackupList>('/api/v1/backups', {}, signal),
    refetchInterval: useEvery(2_000),
  })
  const onSettled = () => queries.invalidateQueries({ queryKey: key })
  const start = useMutation({
    mutationFn: (request: BackupRequest) => sendJSON<Backup>('POST', '/api/v1/backups', request),
    onSettled,
  })
  const cancel = useMutation({
    mutationFn: (id: string) => sendJSON<undefined>('DELETE', `/api/v1/backups/${encodeURIComponent(id)}`),
    onSettled,
  })
  const cols = useMemo(() => columns(cancel.mutate, cancel.isPending), [cancel.mutate, cancel.isPending])
  if (data === undefined) return <Waiting what="backups" error={error} />
  const running = data.backups.some((b) => b.state === 'running')
  return (
    <>
      <p>
        <Status {...protection(data, serverNow())} />{' '}
        <span className="dim">
          {data.interval_s === null ? (
            <>
              None are scheduled: <code>WATCHINGCAT_BACKUP_URL</code> and <code>WATCHINGCAT_BACKUP_INTERVAL</code> schedule them.
            </>
          ) : (
            `One every ${duration(data.interval_s * 1000)}.`
          )}
        </span>
      </p>
      <form
        className="tools form"
        aria-label="Start a backup"
        onSubmit={(e) => {
          e.preventDefault()
          const location = String(new FormData(e.currentTarget).get('location') ?? '').trim()
          start.mutate(location === '' ? {} : { location })
        }}
      >
        <Field label="Location" name="location" value="" placeholder={data.location ?? '/backups or s3://bucket/prefix'} wide />
        <Button type="submit" disabled={start.isPending || running} title={running ? 'A backup is already running' : undefined}>
          Start a backup
        </Button>
      </form>
      {start.error && <Problem error={start.error} />}
      {cancel.error && <Problem error={cancel.error} />}
      <Table label="Backups" rows={data.backups} columns={cols} rowKey={keyOf} sort="" empty="No backups yet." />
    </>
  )
}
