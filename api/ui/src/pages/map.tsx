import { useMediaQuery } from '@mantine/hooks'
import { memo, useMemo, useRef } from 'react'
import type { Edge } from '../api/types'
import { MetaWarnings, Problem, Section, Waiting } from '../components/bits'
import { edgeNumbers, endColumn } from '../components/edge-columns'
import { FilterBox } from '../components/filter'
import { Check } from '../components/form'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { count, exact, secondOf } from '../lib/format'
import { endsNow } from '../lib/range'
import { rangeWords } from '../lib/range-words'
import { useParam, useParams, useRange } from '../lib/url'
import { useHeld, useSeen } from '../lib/use-seen'
import { edgeKey } from '../live/views'
import { CompareWith, comparedWords } from '../map/compare'
import { type MapData, useMapData } from '../map/data'
import { kindOf } from '../map/difference'
import { differenceColumns, Legend } from '../map/difference-table'
import { graphOf } from '../map/graph'
import { momentOf } from '../map/moment'
import { narrowEdges } from '../map/narrow'
import { Scrubber } from '../map/scrubber'
import { Workspace } from '../map/workspace'

import '../map/map.css'

const columns: Column<Edge>[] = [endColumn('client', 'Client', true), endColumn('server', 'Server'), ...edgeNumbers]

const params = ['at', 'pin', 'compare'] as const

export default function MapPage() {
  const [range] = useRange()
  const [filter, setFilter] = useParam('q')
  const [only, setOnly] = useParam('only')
  const [idle, setIdle] = useParam('idle')
  const [changed, setChanged] = useParam('changed')
  const [q, setQ] = useParams(params)
  const roomy = useMediaQuery('(min-width: 700px)', true, { getInitialValueInEffect: false })
  const [at, pin] = [momentOf(q.at), momentOf(q.pin)]
  const data = useMapData(range, at, pin, q.compare)
  const { map, comparing, facts } = data
  const graph = useMemo(() => data.edges && graphOf(data.edges), [data.edges])
  const edges = useMemo(
    () =>
      graph &&
      narrowEdges(graph, { words: filter, bad: only === 'failing', busy: idle === 'hide', changed: comparing && changed === '1' }, facts),
    [graph, filter, only, idle, comparing, changed, facts],
  )
  return (
    <>
      <PageHeader title="Service map" sentence="Who calls whom, from the client and server spans of both sides." />
      <div className="tools">
        <FilterBox value={filter} onChange={setFilter} label="Filter edges" />
        <Check label="slow or failing only" checked={only === 'failing'} onChange={(on) => setOnly(on ? 'failing' : '')} />
        <Check label="hide idle" checked={idle === 'hide'} onChange={(on) => setIdle(on ? 'hide' : '')} />
        <CompareWith range={data.shown} compare={q.compare} pin={pin} onCompare={(compare) => setQ({ compare, pin: '' })} />
        {comparing && <Check label="only changed" checked={changed === '1'} onChange={(on) => setChanged(on ? '1' : '')} />}
        {map && edges && (
          <span className="note">
            {edges.length === map.edges.length ? '' : `${edges.length} of `}
            {map.edges.length} edges, {map.nodes.length} nodes
          </span>
        )}
      </div>
      <Scrubber
        range={range}
        at={at}
        pin={pin}
        settled={data.settled}
        onAt={(t, options) => setQ({ at: t === undefined ? '' : String(t) }, options)}
        onPin={(t) => setQ({ pin: String(t ?? ''), compare: '', at: '' })}
      />
      {comparing && data.error && map && <Problem error={data.error} />}
      {map === undefined || edges === undefined ? (
        <Waiting what="the map" error={data.error} />
      ) : (
        <>
          {comparing && <MetaWarnings meta={map.meta} />}
          {comparing && <Legend edges={map.edges} />}
          {roomy && graph && <Workspace edges={edges} whole={graph} data={data} narrowed={`${filter} ${only} ${idle} ${changed}`} />}
          <Tables data={data} edges={edges} at={at} pin={pin} onlyChanged={changed === '1'} />
        </>
      )}
    </>
  )
}

interface TablesProps {
  data: MapData
  edges: Edge[]
  at: number | undefined
  pin: number | undefined
  onlyChanged: boolean
}

const Tables = memo(function Tables({ data, edges, at, pin, onlyChanged }: TablesProps) {
  const { map, comparing, shown, compared } = data
  const rows = useRef<HTMLDivElement>(null)
  const seen = useSeen(rows, '0px')
  const newest = useMemo(() => edges.filter((e) => kindOf(e) !== 'gone' && (at === undefined || e.calls > 0)), [edges, at])
  const present = useHeld(newest, seen || at !== undefined || comparing, edgeKey)
  const when = at !== undefined ? secondOf(at * 1000) : endsNow(shown) ? 'now' : rangeWords(shown)
  if (map === undefined) return null
  return (
    <>
      {comparing && (
        <Section title="Differences" note={`${comparedWords(shown, compared, pin)} and ${when}; beyond noise`}>
          <Table
            label="Differences"
            rows={edges}
            columns={differenceColumns}
            rowKey={edgeKey}
            sort="kind"
            param="ds"
            empty={
              onlyChanged && map.edges.every((e) => kindOf(e) === 'same')
                ? 'Nothing has changed beyond noise.'
                : 'No edge matches the filter.'
            }
          />
        </Section>
      )}
      <Section
        title="Edges"
        note={at === undefined ? 'calls between services in this time range' : `calls between services in the time before ${when}`}
      >
        <div ref={rows}>
          <Table
            label="Edges"
            rows={present}
            columns={columns}
            rowKey={edgeKey}
            sort="client"
            empty={map.edges.length > 0 ? 'No edge matches the filter.' : 'No calls in this range yet.'}
          />
        </div>
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
    </>
  )
})
