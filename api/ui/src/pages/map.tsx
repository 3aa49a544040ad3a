import { useMediaQuery } from '@mantine/hooks'
import { lazy, Suspense, useMemo } from 'react'
import type { Edge } from '../api/types'
import { Section, Waiting } from '../components/bits'
import { ConnectionType, EdgeEnd, Failed, ServiceNames, useServiceNames } from '../components/edge'
import { FilterBox } from '../components/filter'
import { type Column, Table } from '../components/table'
import { count, exact, millis } from '../lib/format'
import { useParam, useRange } from '../lib/url'
import { useLive } from '../live/use-live'
import { edgeKey } from '../live/views'

const Drawing = lazy(() => import('../map/drawing'))

const columns: Column<Edge>[] = [
  { id: 'client', label: 'Client', className: 'c-name', sort: (e) => e.client, cell: (e) => <EdgeEnd edge={e} end="client" row /> },
  { id: 'server', label: 'Server', className: 'c-name', sort: (e) => e.server, cell: (e) => <EdgeEnd edge={e} end="server" /> },
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

export default function MapPage() {
  const [range] = useRange()
  const [filter, setFilter] = useParam('q')
  const [only, setOnly] = useParam('only')
  const roomy = useMediaQuery('(min-width: 700px)', true, { getInitialValueInEffect: false })
  const live = useLive('servicemap', { range })
  const map = live.data
  const names = useServiceNames(map?.nodes)
  const edges = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
    return map?.edges.filter((e) => {
      const text = `${e.client} ${e.server}`.toLowerCase()
      return (only !== 'failing' || e.failed > 0) && words.every((w) => text.includes(w))
    })
  }, [map?.edges, filter, only])
  if (map === undefined || edges === undefined) return <Waiting what="the map" error={live.error} />
  return (
    <ServiceNames value={names}>
      <h1 className="hidden">Service map</h1>
      <div className="tools">
        <FilterBox value={filter} onChange={setFilter} label="Filter edges" />
        <label className="check">
          <input type="checkbox" checked={only === 'failing'} onChange={(e) => setOnly(e.target.checked ? 'failing' : '')} />
          only failing
        </label>
        <span className="note">
          {edges.length === map.edges.length ? '' : `${edges.length} of `}
          {map.edges.length} edges, {map.nodes.length} nodes
        </span>
      </div>
      {roomy && (
        <Suspense fallback={<div className="drawing" />}>
          <Drawing edges={edges} nodes={map.nodes} />
        </Suspense>
      )}
      <Section title="Edges" note="who called whom in the range">
        <Table
          label="Edges"
          rows={edges}
          columns={columns}
          rowKey={edgeKey}
          sort="client"
          empty={map.edges.length > 0 ? 'No edge matches the filter.' : 'No calls in this range yet.'}
        />
      </Section>
      {map.unpaired.length > 0 && (
        <Section title="Spans without an edge">
          <dl className="facts">
            {map.unpaired.map((u) => (
              <div key={u.reason}>
                <dt>{u.reason.replaceAll('_', ' ')}</dt>
                <dd title={exact(u.count)}>{count(u.count)}</dd>
              </div>
            ))}
          </dl>
        </Section>
      )}
    </ServiceNames>
  )
}
