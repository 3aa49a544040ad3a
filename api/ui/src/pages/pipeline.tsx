import type { Partition, Pipeline } from '../api/types'
import { Ago, Section, Status, Waiting } from '../components/bits'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { bytes, count, duration, exact } from '../lib/format'
import { useLive } from '../live/use-live'
import { Backups } from '../pipeline/backups'
import { PipelineCharts } from '../pipeline/charts'
import { Verifications } from '../pipeline/verifications'
import { Audit } from './audit'
import { Replays } from './replays'

const columns: Column<Partition>[] = [
  { id: 'topic', label: 'Topic', className: 'c-main', sort: (p) => p.topic, cell: (p) => <span className="name">{p.topic}</span> },
  { id: 'partition', label: 'Partition', numeric: true, sort: (p) => p.partition, cell: (p) => p.partition },
  {
    id: 'state',
    label: 'State',
    className: 'c-status',
    sort: (p) => (p.error ? 0 : p.lag > 0 ? 1 : 2),
    cell: (p) =>
      p.error ? (
        <span title={p.error}>
          <Status health="firing" word={p.error} />
        </span>
      ) : (
        <Status health="ok" word={p.lag > 0 ? 'reading' : p.idle ? 'idle' : 'at the end'} />
      ),
  },
  { id: 'position', label: 'Position', numeric: true, wide: true, sort: (p) => p.position, cell: (p) => exact(p.position) },
  { id: 'end', label: 'End', numeric: true, wide: true, sort: (p) => p.end, cell: (p) => exact(p.end) },
  { id: 'lag', label: 'Lag', unit: 'records', numeric: true, sort: (p) => p.lag, cell: (p) => count(p.lag) },
  {
    id: 'watermark',
    label: 'Watermark',
    title: 'Event time up to which the partition has been read',
    numeric: true,
    wide: true,
    className: 'c-ago',
    sort: (p) => p.watermark ?? '',
    cell: (p) => <Ago time={p.watermark} />,
  },
]
const keyOf = (p: Partition) => `${p.topic}/${p.partition}`

/** bad: anything but zero wants attention. */
const counters: { key: keyof Pipeline; label: string; title: string; bad?: boolean }[] = [
  { key: 'records', label: 'Records', title: 'Records read' },
  { key: 'spans', label: 'Spans', title: 'Spans counted' },
  { key: 'dead_letters', label: 'Dead letters', title: 'Records that could not be read', bad: true },
  { key: 'unattributed_spans', label: 'Unattributed spans', title: 'Spans of resources without service.name', bad: true },
  { key: 'late', label: 'Too late', title: 'Spans older than retention', bad: true },
  { key: 'future', label: 'From the future', title: 'Spans that ended in the future and were moved to now', bad: true },
  { key: 'duplicates', label: 'Duplicates', title: 'Records recognised as sent again' },
  { key: 'overflowed', label: 'Overflowed', title: 'Spans counted in an overflow series because of a limit', bad: true },
  { key: 'waiting', label: 'Waiting halves', title: 'Span halves that wait for their other side' },
]

export default function PipelinePage() {
  const { data, error } = useLive('pipeline')
  if (data === undefined) return <Waiting what="the pipeline" error={error} />
  const lag = data.partitions.reduce((sum, p) => sum + p.lag, 0)
  return (
    <>
      <PageHeader
        title="Pipeline"
        sentence="How far the topics have been read, what was counted and whether it is right, backups, replays and the audit trail."
      />
      <dl className="totals">
        <div>
          <dt>Lag, records</dt>
          <dd>{count(lag)}</dd>
        </div>
        <div>
          <dt>Lag, time</dt>
          <dd>{duration(data.meta.lag_ms)}</dd>
        </div>
        <div>
          <dt>Checkpoint age</dt>
          <dd>{duration(data.checkpoint.age_ms)}</dd>
        </div>
        <div>
          <dt>Last commit, entries</dt>
          <dd>{count(data.checkpoint.entries)}</dd>
        </div>
        <div>
          <dt>Last commit, size</dt>
          <dd>{bytes(data.checkpoint.bytes)}</dd>
        </div>
      </dl>
      <PipelineCharts />
      <Section title="Partitions" note={`${data.partitions.length}`}>
        <Table
          label="Partitions"
          rows={data.partitions}
          columns={columns}
          rowKey={keyOf}
          sort="topic"
          empty="No partitions are being read yet."
        />
      </Section>
      <Section title="Counted" note="since the views began">
        <dl className="facts">
          {counters.map(({ key, label, title, bad }) => {
            const n = data[key] as number
            return (
              <div key={key} title={title}>
                <dt>{label}</dt>
                <dd title={exact(n)} className={bad && n > 0 ? 'bad' : undefined}>
                  {count(n)}
                </dd>
              </div>
            )
          })}
        </dl>
      </Section>
      {data.truncated.length > 0 && (
        <Section title="Deleted by the broker before WatchingCat read them">
          <ul className="plain-list">
            {data.truncated.map((t) => (
              <li key={`${t.topic}/${t.partition}/${t.from}`}>
                <Status health="firing" word={`${t.topic}/${t.partition}: records ${exact(t.from)} to ${exact(t.to - 1)}`} />{' '}
                <span className="dim">
                  found <Ago time={t.time} />
                </span>
              </li>
            ))}
          </ul>
        </Section>
      )}
      {data.backends.length > 0 && (
        <Section title="Backends">
          <dl className="facts">
            {data.backends.map((b) => (
              <div key={b.name}>
                <dt>{b.name}</dt>
                <dd>{b.state}</dd>
              </div>
            ))}
          </dl>
        </Section>
      )}
      <Verifications />
      <Backups />
      <Replays />
      <Audit />
    </>
  )
}
