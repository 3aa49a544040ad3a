import { useMemo } from 'react'
import { baselineText } from '../alert/baseline'
import { hadBaseline } from '../alert/cause'
import type { Incident, PathEdge, Why } from '../api/types'
import { ServiceLink } from '../components/bits'
import { type Column, Table } from '../components/table'
import { clock, millis, none, percent } from '../lib/format'
import { shareClass } from '../lib/health'
import { type PathRow, pathRows } from './path'

function Call({ edge: e }: { edge: PathEdge }) {
  const server =
    e.connection_type === '' ? (
      <ServiceLink name={e.server} />
    ) : (
      <bdi className="name">
        {e.server} <span className="dim">{e.connection_type === 'virtual_node' ? 'not instrumented' : e.connection_type}</span>
      </bdi>
    )
  return (
    <>
      {e.client === '' ? (
        <span className="dim">all calls to</span>
      ) : (
        <>
          <ServiceLink name={e.client} /> <span aria-hidden="true">→</span>
          <span className="hidden"> calls</span>
        </>
      )}{' '}
      {server}
      {e.new_versions.length > 0 && <span className="version"> {e.new_versions.join(', ')}</span>}
    </>
  )
}

const failed = (e: PathEdge | undefined) =>
  e === undefined ? none : <span className={shareClass(e.error_rate)}>{percent(e.error_rate)}</span>

const columns: Column<PathRow>[] = [
  { id: 'call', label: 'Call', className: 'c-call', cell: (r) => <Call edge={r.edge} /> },
  {
    id: 'share',
    label: 'Begins here',
    unit: '%',
    title: 'Share of the excess errors and latency that originates in this call rather than downstream',
    numeric: true,
    cell: (r) =>
      r.cleared ? (
        <span className="cleared">as before</span>
      ) : (
        <span className="share">
          <span className="share-bar" aria-hidden="true">
            <span style={{ width: `${Math.min(100, Math.max(0, r.edge.score * 100))}%` }} />
          </span>
          {percent(r.edge.score)}
        </span>
      ),
  },
  {
    id: 'before',
    label: 'Failed before',
    unit: '%',
    numeric: true,
    wide: true,
    cell: (r) => <span className="dim">{hadBaseline(r.edge) ? percent(r.edge.baseline_error_rate) : none}</span>,
  },
  { id: 'firing', label: 'at firing', unit: '%', numeric: true, wide: true, cell: (r) => failed(r.atFiring) },
  { id: 'now', label: 'last', unit: '%', numeric: true, cell: (r) => failed(r.now) },
  {
    id: 'mean',
    label: 'Mean before → last',
    unit: 'ms',
    numeric: true,
    cell: (r) => (
      <>
        <span className="dim">{hadBaseline(r.edge) ? millis(r.edge.baseline_mean_ms) : none} →</span> {r.now ? millis(r.now.mean_ms) : none}
      </>
    ),
  },
]
const keyOf = (r: PathRow) => r.key

/** Which time was compared with which, in words. */
export function comparedOf(i: Incident): string {
  const w: Why | undefined = i.latest ?? i.at_firing
  if (w === undefined) return ''
  const at = i.at_firing ? `at firing ${clock(i.at_firing.at)}` : ''
  return `before: ${baselineText(w)}${at ? `, ${at}` : ''}, last: ${clock(w.at)}`
}

/** The calls on the way to the cause, at three moments. */
export function Where({ incident: i }: { incident: Incident }) {
  const rows = useMemo(() => pathRows(i.at_firing, i.latest), [i.at_firing, i.latest])
  if (rows.length === 0)
    return (
      <p className="quiet">
        {i.at_firing === undefined
          ? 'No evidence was collected for this alert.'
          : 'No call below this service is worse than before. Look at the service itself, or at its traffic.'}
      </p>
    )
  return <Table label="Where it begins" rows={rows} columns={columns} rowKey={keyOf} sort="" empty="" />
}
