import type { Edge } from '../api/types'
import { count, exact, millis } from '../lib/format'
import { ConnectionType, EdgeEnd, Failed } from './edge'
import type { Column } from './table'

/** A column with one end of edges. */
export const endColumn = (end: 'client' | 'server', label: string, row?: boolean): Column<Edge> => ({
  id: end,
  label,
  className: 'c-name',
  sort: (e) => e[end],
  cell: (e) => <EdgeEnd edge={e} end={end} row={row} />,
})

/** The columns of an edge's connection and numbers. */
export const edgeNumbers: Column<Edge>[] = [
  { id: 'type', label: 'Type', wide: true, sort: (e) => e.connection_type, cell: (e) => <ConnectionType type={e.connection_type} /> },
  { id: 'calls', label: 'Calls', numeric: true, sort: (e) => e.calls, cell: (e) => <span title={exact(e.calls)}>{count(e.calls)}</span> },
  {
    id: 'failed',
    label: 'Failed',
    unit: '%',
    numeric: true,
    sort: (e) => (e.calls ? e.failed / e.calls : 0),
    cell: (e) => <Failed edge={e} />,
  },
  {
    id: 'cp95',
    label: 'Client p95',
    unit: 'ms',
    numeric: true,
    wide: true,
    sort: (e) => e.client_p95_ms,
    cell: (e) => millis(e.client_p95_ms),
  },
  { id: 'sp95', label: 'Server p95', unit: 'ms', numeric: true, sort: (e) => e.server_p95_ms, cell: (e) => millis(e.server_p95_ms) },
]
