import { useMemo, useState } from 'react'
import { Link } from 'wouter'
import { getJSON } from '../api/client'
import { useTrace } from '../api/queries'
import type { Baseline, TraceList } from '../api/types'
import { Problem, Waiting } from '../components/bits'
import { type Column, Table } from '../components/table'
import { exact, millis, took } from '../lib/format'
import { tracePath, useHref, useParam } from '../lib/url'
import { type CallChange, type Compared, compareTraces, deltaOf } from './comparing'
import { traceIDOf } from './ids'
import { quantileOf } from './rank'
import { type SpanTree, treeOf } from './tree'

interface Props {
  id: string
  tree: SpanTree
  /** Of the span at the top: what a typical trace of its operation is. */
  baseline: Baseline | undefined
}

/** This trace beside another one. */
export function Compare({ id, tree, baseline }: Props) {
  const [other, setOther] = useParam('compare')
  return (
    <div className="tv-compare">
      <CompareForm key={other} id={id} tree={tree} baseline={baseline} other={other} onOther={(v) => setOther(v, false)} />
      {other !== '' && <With id={other} tree={tree} />}
    </div>
  )
}

function CompareForm({ id, tree, baseline, other, onOther }: Props & { other: string; onOther: (id: string) => void }) {
  const [text, setText] = useState(other)
  const [problem, setProblem] = useState<Error | string>()
  const [looking, setLooking] = useState(false)
  const root = tree.nodes[0]
  const typical = async () => {
    if (root === undefined || baseline === undefined) return
    setLooking(true)
    setProblem(undefined)
    try {
      const found = await typicalTrace(id, root.service, root.span.operationName, tree, baseline)
      if (found === undefined) setProblem('No trace of this operation near its median is kept.')
      else onOther(found)
    } catch (err) {
      setProblem(err as Error)
    }
    setLooking(false)
  }
  return (
    <form
      className="tv-tools"
      onSubmit={(e) => {
        e.preventDefault()
        const found = traceIDOf(text)
        if (found === undefined) setProblem('A trace id has 1 to 32 hex digits.')
        else onOther(found)
      }}
    >
      <label className="tv-tool">
        Compare with trace{' '}
        <input
          className="tv-find tv-id"
          value={text}
          placeholder="trace id"
          spellCheck={false}
          autoComplete="off"
          onChange={(e) => setText(e.currentTarget.value)}
        />
      </label>
      <button type="submit" className="tv-btn">
        Compare
      </button>
      <button
        type="button"
        className="tv-btn"
        disabled={baseline === undefined || looking}
        title={baseline === undefined ? 'No other calls of this operation are known' : undefined}
        onClick={() => void typical()}
      >
        A typical one of {root ? <bdi className="tv-short">{root.span.operationName}</bdi> : 'this operation'}
        {baseline && ` (${took(quantileOf(baseline, 0.5))})`}
      </button>
      {problem !== undefined && <Problem error={problem} />}
    </form>
  )
}

const around = 60 * 60

/** A trace whose span of the operation took about as long as half of them: the nearest to the median of those in the middle fifth. */
async function typicalTrace(id: string, service: string, operation: string, tree: SpanTree, b: Baseline): Promise<string | undefined> {
  const end = Math.ceil((tree.start + tree.duration) / 1e6)
  const low = quantileOf(b, 0.4)
  const high = Math.max(quantileOf(b, 0.6), low + 0.001)
  const query = {
    service,
    operation,
    min_span_duration: micros(low),
    max_span_duration: micros(high),
    start: end - around,
    end: end + around,
    limit: 50,
  }
  for (const status of ['ok', undefined]) {
    const list = await getJSON<TraceList>('/api/v1/traces', { ...query, status })
    const median = quantileOf(b, 0.5)
    const [first] = list.traces
      .filter((t) => t.traceId !== id)
      .sort((x, y) => Math.abs(x.duration_ms - median) - Math.abs(y.duration_ms - median))
    if (first !== undefined) return first.traceId
  }
  return undefined
}

const micros = (ms: number): string => `${Math.max(1, Math.round(ms * 1000))}us`

function With({ id, tree }: { id: string; tree: SpanTree }) {
  const href = useHref()
  const answer = useTrace(id)
  const other = useMemo(() => answer.data && treeOf(answer.data.trace), [answer.data])
  const comparison = useMemo(() => other && compareTraces(tree, other), [tree, other])
  if (other === undefined || comparison === undefined) return <Waiting what="the other trace" error={answer.error} />
  return (
    <>
      <p className="tv-compare-with">
        This trace: {took(tree.duration / 1000)}, {exact(tree.nodes.length)} spans. The other, <Link href={href(tracePath(id))}>{id}</Link>:{' '}
        {took(other.duration / 1000)}, {exact(other.nodes.length)} spans.
      </p>
      <Table
        label="Operations of both traces"
        rows={comparison.operations}
        columns={columns}
        rowKey={(c) => c.key}
        sort="-difference"
        param="by"
        empty="No spans."
      />
      <h3>Calls that only one of them has</h3>
      <Table
        label="Calls that only one of them has"
        rows={comparison.changes}
        columns={changeColumns}
        rowKey={(c) => `${c.where} ${c.key}`}
        sort=""
        empty="Both have the same calls."
      />
    </>
  )
}

const ms = (us: number) => millis(us / 1000)
const signed = (us: number) => (us === 0 ? '0' : `${us > 0 ? '+' : '−'}${ms(Math.abs(us))}`)
const shown = (n: number, of: number) => (of === 0 ? <span className="dim">–</span> : n)

const columns: Column<Compared>[] = [
  {
    id: 'operation',
    label: 'Service and operation',
    className: 'c-main',
    sort: (c) => `${c.service} ${c.operation}`,
    cell: (c) => (
      <span className="name" title={`${c.service} ${c.operation}`}>
        <bdi className="tv-service">{c.service}</bdi> <bdi>{c.operation}</bdi>
      </span>
    ),
  },
  { id: 'here', label: 'Spans here', numeric: true, sort: (c) => c.here.count, cell: (c) => shown(c.here.count, c.here.count) },
  { id: 'there', label: 'There', numeric: true, sort: (c) => c.there.count, cell: (c) => shown(c.there.count, c.there.count) },
  {
    id: 'failed',
    label: 'Failed here',
    numeric: true,
    wide: true,
    sort: (c) => c.here.failed - c.there.failed,
    cell: (c) => <span className={c.here.failed > 0 ? 'bad' : 'dim'}>{c.here.failed}</span>,
  },
  {
    id: 'failed_there',
    label: 'There',
    numeric: true,
    wide: true,
    sort: (c) => c.there.failed,
    cell: (c) => <span className={c.there.failed > 0 ? 'bad' : 'dim'}>{c.there.failed}</span>,
  },
  { id: 'self', label: 'Self here', unit: 'ms', numeric: true, sort: (c) => c.here.self, cell: (c) => ms(c.here.self) },
  { id: 'self_there', label: 'There', unit: 'ms', numeric: true, sort: (c) => c.there.self, cell: (c) => ms(c.there.self) },
  {
    id: 'difference',
    label: 'Difference',
    unit: 'ms',
    numeric: true,
    title: 'Self time here less self time there',
    sort: (c) => Math.abs(deltaOf(c)),
    cell: (c) => <b className={deltaOf(c) > 0 ? 'bad' : undefined}>{signed(deltaOf(c))}</b>,
  },
]

const changeColumns: Column<CallChange>[] = [
  { id: 'where', label: 'Only in', cell: (c) => (c.where === 'here' ? 'this trace' : 'the other') },
  {
    id: 'call',
    label: 'Call',
    className: 'c-main',
    cell: (c) => (
      <span className="name" title={`${c.parent} → ${c.child}`}>
        {c.parent && (
          <>
            <bdi>{c.parent}</bdi> →{' '}
          </>
        )}
        <bdi>{c.child}</bdi>
      </span>
    ),
  },
  { id: 'times', label: 'Times', numeric: true, cell: (c) => exact(c.count) },
]
