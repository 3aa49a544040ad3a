import type { Edge, EdgeChange } from '../api/types'
import { ConnectionType, EdgeEnd } from '../components/edge'
import type { Column } from '../components/table'
import { millis, none, percent, rate } from '../lib/format'
import { type Kind, kindOf, kinds, wordsOf, worse } from './difference'

const kindWords: Record<Kind, string> = { added: 'added', gone: 'gone', changed: 'changed', same: 'as before' }

function KindMark({ kind, word }: { kind: Kind; word?: string }) {
  return (
    <span className={`kind kind-${kind}`}>
      <svg width="18" height="8" viewBox="0 0 18 8" aria-hidden="true">
        <path d="M0 4h18" strokeDasharray={kind === 'gone' ? '4 3' : undefined} />
      </svg>
      {word ?? kindWords[kind]}
    </span>
  )
}

type Counts = EdgeChange['before']

/** A number before and now, emphasised if it changed. */
function Shift({ edge, what, show }: { edge: Edge; what: 'rate' | 'errors' | 'latency'; show: (c: Counts) => string }) {
  const { before, now } = edge.change ?? {}
  const kind = kindOf(edge)
  const changed = edge.change?.what.includes(what)
  return (
    <span className={changed ? (what !== 'rate' && worse(edge) ? 'shift bad' : 'shift changed') : 'shift dim'}>
      {before === undefined || kind === 'added' ? none : show(before)}
      <span className="hidden"> to </span>
      <span aria-hidden="true"> → </span>
      {now === undefined || kind === 'gone' ? none : show(now)}
    </span>
  )
}

export const differenceColumns: Column<Edge>[] = [
  {
    id: 'kind',
    label: 'Difference',
    wide: true,
    className: 'c-kind',
    sort: (e) => kinds.indexOf(kindOf(e)) * 2 - (worse(e) ? 1 : 0),
    cell: (e) => <KindMark kind={kindOf(e)} />,
  },
  { id: 'client', label: 'Client', className: 'c-end', sort: (e) => e.client, cell: (e) => <EdgeEnd edge={e} end="client" row /> },
  { id: 'server', label: 'Server', className: 'c-end', sort: (e) => e.server, cell: (e) => <EdgeEnd edge={e} end="server" /> },
  { id: 'type', label: 'Type', wide: true, sort: (e) => e.connection_type, cell: (e) => <ConnectionType type={e.connection_type} /> },
  {
    id: 'rate',
    label: 'Rate',
    unit: '/s',
    numeric: true,
    wide: true,
    sort: (e) => Math.abs((e.change?.now?.rate ?? 0) - (e.change?.before.rate ?? 0)),
    cell: (e) => <Shift edge={e} what="rate" show={(c) => rate(c.rate)} />,
  },
  {
    id: 'errors',
    label: 'Failed',
    unit: '%',
    numeric: true,
    wide: true,
    sort: (e) => (e.change?.now?.error_rate ?? 0) - (e.change?.before.error_rate ?? 0),
    cell: (e) => <Shift edge={e} what="errors" show={(c) => (c.calls === 0 ? none : percent(c.error_rate))} />,
  },
  {
    id: 'p95',
    label: 'p95',
    unit: 'ms',
    numeric: true,
    wide: true,
    sort: (e) => (e.change?.now?.p95_ms ?? 0) - (e.change?.before.p95_ms ?? 0),
    cell: (e) => <Shift edge={e} what="latency" show={(c) => millis(c.p95_ms)} />,
  },
  {
    id: 'what',
    label: 'Difference',
    className: 'c-what narrow',
    cell: (e) => (
      <span className={worse(e) ? 'bad' : kindOf(e) === 'same' ? 'dim' : undefined}>{wordsOf(e).join(', ') || kindWords.same}</span>
    ),
  },
]

/** How many edges differ, and how. */
export function Legend({ edges }: { edges: Edge[] }) {
  if (edges.length > 0 && edges.every((e) => kindOf(e) === 'added')) {
    return <p className="said">No call was counted in the time compared with, so every edge is new.</p>
  }
  return (
    <ul className="kinds" aria-label="How many edges differ">
      {kinds.map((k) => (
        <li key={k}>
          <KindMark kind={k} word={`${edges.filter((e) => kindOf(e) === k).length} ${kindWords[k]}`} />
        </li>
      ))}
    </ul>
  )
}
