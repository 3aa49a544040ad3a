import { Button, SegmentedControl } from '@mantine/core'
import { useEffect, useMemo, useSyncExternalStore } from 'react'
import { Link } from 'wouter'
import { pathWith } from '../api/client'
import { useLogPatterns, useLogs, useLogVolume } from '../api/queries'
import type { LogPattern, LogVolume } from '../api/types'
import { Chart, type Line as ChartLine } from '../chart/chart'
import { Ago, Chip, MetaWarnings, NewBadge, Problem, Section, Status, Waiting } from '../components/bits'
import { FilterBox } from '../components/filter'
import { Check, Choice, Field, SearchForm } from '../components/form'
import { More } from '../components/growing'
import { keyLines, LogLines, type Severity, severities, severityOf } from '../components/lines'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { absolute, count, exact } from '../lib/format'
import { isNew, type Span, secondsOf, timesOf } from '../lib/range'
import { tracePath, useHref, useParam, useParams, useRange } from '../lib/url'
import { Tail, type TailState } from '../live/tail'
import { useLive, useLiveClient, useLiveStatus } from '../live/use-live'

const names = ['service', 'severity', 'text', 'pattern', 'trace', 'tail', 'view'] as const
type Values = Record<(typeof names)[number], string>
type Set = (values: Partial<Values>) => void

const levels = ['FATAL', 'ERROR', 'WARN', 'INFO', 'DEBUG', 'TRACE']

export default function LogsPage() {
  const [range] = useRange()
  const [v, set] = useParams(names)
  const span = useMemo<Span>(() => ({ range }), [range])
  const services = useLive('services', { range }).data?.services
  const form = useMemo(() => ({ service: v.service, severity: v.severity, text: v.text }), [v.service, v.severity, v.text])
  const patterns = v.view === 'patterns'
  const tail = v.tail === '1' && !patterns
  return (
    <>
      <PageHeader title="Logs" sentence="Log records as lines, or grouped into patterns." />
      <SearchForm label="Search logs" values={form} onSubmit={set}>
        <Field label="Service" name="service" value={v.service} options={services?.map((s) => s.name) ?? []} />
        <Choice
          label="Severity"
          name="severity"
          value={v.severity}
          options={[['', 'any'], ...levels.map((l): [string, string] => [l, l === 'FATAL' ? l : `${l} and above`])]}
        />
        <Field label="Text" name="text" value={v.text} placeholder="giving up" wide filter />
      </SearchForm>
      {(v.pattern !== '' || v.trace !== '') && (
        <div className="tools chips">
          {v.pattern !== '' && (
            <Chip label="pattern" onClear={() => set({ pattern: '' })}>
              <code>{v.pattern}</code>
            </Chip>
          )}
          {v.trace !== '' && <TraceChip id={v.trace} onClear={() => set({ trace: '' })} />}
        </div>
      )}
      <Volume service={v.service} span={span} />
      <div className="tools tabs">
        <SegmentedControl
          aria-label="Show"
          value={patterns ? 'patterns' : ''}
          onChange={(view) => set({ view })}
          data={[
            { value: '', label: 'Lines' },
            { value: 'patterns', label: 'Patterns' },
          ]}
        />
        {!patterns && <Check label="live tail" checked={tail} onChange={(on) => set({ tail: on ? '1' : '' })} />}
      </div>
      {patterns ? <Patterns service={v.service} span={span} set={set} /> : tail ? <Tailing values={v} /> : <Lines values={v} span={span} />}
    </>
  )
}

function TraceChip({ id, onClear }: { id: string; onClear: () => void }) {
  const href = useHref()
  return (
    <Chip label="trace" onClear={onClear}>
      <Link href={href(tracePath(id))}>
        <code>{id}</code>
      </Link>
    </Chip>
  )
}

function queryOf(v: Values) {
  return {
    service: v.service,
    severity: levels.includes(v.severity) ? v.severity : undefined,
    text: v.text,
    pattern: v.pattern,
    trace_id: v.trace,
  }
}

const colors: Record<Severity, string> = {
  error: '--c-error',
  warn: '--c-orange',
  info: '--c-sky',
  debug: '--c-debug',
  other: '--c-purple',
}

function Volume({ service, span }: { service: string; span: Span }) {
  const volume = useLogVolume(service, span)
  const chart = useMemo(() => (volume.data ? volumeOf(volume.data, span) : undefined), [volume.data, span])
  const total = volume.data?.buckets.reduce((n, b) => n + b.count, 0)
  return (
    <Section
      title="Volume"
      note={total !== undefined && <span title={exact(total)}>{count(total)} lines; drag to zoom, double-click to zoom out</span>}
    >
      <div className="charts charts-one">
        {chart === undefined ? (
          <Waiting what="the volume" error={volume.error} />
        ) : (
          <Chart title="Lines" unit="per step" format={count} {...chart} stacked height={132} />
        )}
      </div>
    </Section>
  )
}

/** Counts of each severity at the end of each step; debugging at the bottom, what matters at the top. */
export function volumeOf(volume: LogVolume, span: Span): { times: number[]; lines: ChartLine[]; span: [number, number] } {
  const step = volume.step_s
  const { start, end = start + secondsOf(span) } = timesOf(span)
  const first = Math.floor(start / step) * step
  const n = Math.max(1, Math.ceil((end - first) / step))
  const of = new Map(severities.map((s) => [s, new Array<number>(n).fill(0)]))
  for (const b of volume.buckets) {
    const i = Math.floor((Date.parse(b.time) / 1000 - first) / step)
    const values = of.get(severityOf(b.severity))
    if (values && i >= 0 && i < n) values[i] = (values[i] ?? 0) + b.count
  }
  const lines = [...severities]
    .reverse()
    .map((s): ChartLine => ({ label: s, color: colors[s], values: of.get(s) ?? [] }))
    .filter((l) => l.label !== 'other' || l.values.some((v) => v !== 0))
  return { times: Array.from({ length: n }, (_, i) => first + (i + 1) * step), lines, span: [first, first + n * step] }
}

function Lines({ values, span }: { values: Values; span: Span }) {
  const query = useMemo(() => queryOf(values), [values])
  const logs = useLogs(query, span, true)
  const lines = useMemo(() => keyLines(logs.data?.pages.flatMap((p) => p.logs) ?? []), [logs.data])
  const last = logs.data?.pages.at(-1)
  return (
    <>
      <MetaWarnings meta={last?.meta} />
      <Section
        title="Lines"
        note={
          logs.data && (
            <>
              {lines.length}
              {logs.hasNextPage ? ' and more' : ''}, newest first, as of <Ago time={new Date(logs.dataUpdatedAt).toISOString()} />
            </>
          )
        }
        actions={logs.data && <Button onClick={() => void logs.refetch()}>Refresh</Button>}
      >
        {logs.error !== null && logs.data !== undefined && <Problem error={logs.error} />}
        {logs.data === undefined ? (
          <Waiting what="lines" error={logs.error} />
        ) : (
          <LogLines lines={lines} empty="No log lines match these filters in this time range. Use a longer range or fewer filters." />
        )}
        <More list={logs} />
      </Section>
    </>
  )
}

const tailWords: Record<TailState, string> = {
  connecting: 'connecting',
  live: 'following',
  lost: 'connection lost, reconnecting',
  refused: 'The server rejected the live tail; retrying',
}

function Tailing({ values }: { values: Values }) {
  const client = useLiveClient()
  const { paused } = useLiveStatus()
  const url = pathWith('/api/v1/logs/tail', queryOf(values))
  const tail = useMemo(() => new Tail(url), [url])
  const { lines, state, dropped, held } = useSyncExternalStore(tail.subscribe, tail.get)
  useEffect(() => tail.setPaused(paused), [tail, paused])
  return (
    <Section
      title="Lines"
      note={
        <span role="status">
          <Status health={state === 'live' ? 'ok' : state === 'connecting' ? 'nodata' : 'pending'} word={tailWords[state]} />
          {lines.length > 0 && `, the newest ${lines.length}`}
          {dropped > 0 && `, ${count(dropped)} left out because they came too fast`}
        </span>
      }
    >
      {paused && (
        <p className="said">
          <Status health="pending" word={`Paused, ${held} new lines`} /> <Button onClick={() => client.setPaused(false)}>Resume</Button>
        </p>
      )}
      <LogLines lines={lines} empty="New lines appear here as they are committed." />
    </Section>
  )
}

function Patterns({ service, span, set }: { service: string; span: Span; set: Set }) {
  const patterns = useLogPatterns(service, span, true)
  const [filter, setFilter] = useParam('q')
  const data = patterns.data
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
    return data?.patterns.filter((p) => words.every((w) => `${p.pattern} ${p.services.join(' ')}`.toLowerCase().includes(w)))
  }, [data, filter])
  const since = data?.meta.since
  const columns = useMemo<Column<LogPattern>[]>(
    () => [
      {
        id: 'pattern',
        label: 'Pattern',
        className: 'c-main',
        sort: (p) => p.pattern,
        cell: (p) => (
          <button
            type="button"
            className="name"
            data-row-link
            title={`Newest line: ${p.sample}`}
            onClick={() => set({ pattern: p.pattern, view: '' })}
          >
            <code>{p.pattern}</code>
          </button>
        ),
      },
      {
        id: 'count',
        label: 'Lines',
        numeric: true,
        sort: (p) => p.count,
        cell: (p) => <span title={exact(p.count)}>{count(p.count)}</span>,
      },
      {
        id: 'services',
        label: 'Services',
        wide: true,
        className: 'c-service',
        sort: (p) => p.services.length,
        cell: (p) => (
          <span className="name" title={p.services.join(', ')}>
            {p.services.length > 2 ? `${p.services.length} services` : p.services.join(', ')}
          </span>
        ),
      },
      {
        id: 'first',
        label: 'First seen',
        numeric: true,
        wide: true,
        className: 'c-ago',
        sort: (p) => p.first_seen ?? '',
        cell: (p) => (
          <>
            {isNew(p.first_seen, timesOf(span).start * 1000, since) && <NewBadge />} <Ago time={p.first_seen} />
          </>
        ),
      },
      {
        id: 'last',
        label: 'Last seen',
        numeric: true,
        wide: true,
        className: 'c-ago',
        sort: (p) => p.last_seen ?? '',
        cell: (p) => (
          <span className="dim" title={absolute(p.last_seen ?? '')}>
            <Ago time={p.last_seen} />
          </span>
        ),
      },
      { id: 'sample', label: 'Newest line', wide: true, className: 'c-sample', cell: (p) => <Sample pattern={p} /> },
    ],
    [set, since, span],
  )
  return (
    <>
      <MetaWarnings meta={data?.meta} />
      <Section title="Patterns" note={data && `${rows?.length} of ${data.total}; words that differ are shown as <*>`}>
        <div className="tools">
          <FilterBox value={filter} onChange={setFilter} label="Filter patterns" />
        </div>
        {rows === undefined ? (
          <Waiting what="patterns" error={patterns.error} />
        ) : (
          <Table
            label="Patterns"
            rows={rows}
            columns={columns}
            rowKey={patternKey}
            sort="-count"
            onOpen={(p) => set({ pattern: p.pattern, view: '' })}
            empty={data?.patterns.length ? 'No pattern matches the filter.' : 'No line in this range yet.'}
          />
        )}
      </Section>
    </>
  )
}
const patternKey = (p: LogPattern) => p.pattern

function Sample({ pattern: p }: { pattern: LogPattern }) {
  const href = useHref()
  const text = <code>{p.sample}</code>
  return p.trace_id === '' ? (
    <span className="name" title={p.sample}>
      {text}
    </span>
  ) : (
    <Link href={href(tracePath(p.trace_id))} className="name" title={`${p.sample} (its trace)`}>
      {text}
    </Link>
  )
}
