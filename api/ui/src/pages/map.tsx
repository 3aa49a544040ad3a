import { useMediaQuery } from '@mantine/hooks'
import { lazy, Suspense, useMemo } from 'react'
import { useMapDifference } from '../api/queries'
import type { Edge, EdgeChange } from '../api/types'
import { MetaWarnings, Problem, Section, Waiting } from '../components/bits'
import { ConnectionType, EdgeEnd } from '../components/edge'
import { edgeNumbers, endColumn } from '../components/edge-columns'
import { FilterBox } from '../components/filter'
import { Check, Pick } from '../components/form'
import { PageHeader } from '../components/page'
import { RangeText } from '../components/range-text'
import { type Column, Table } from '../components/table'
import { count, duration, exact, millis, none, percent, rate } from '../lib/format'
import { stubborn } from '../lib/lazy'
import { absoluteRange, endsNow, rangeSeconds, shifted } from '../lib/range'
import { rangeWords } from '../lib/range-words'
import { useParam, useRange } from '../lib/url'
import { useLive } from '../live/use-live'
import { edgeKey } from '../live/views'
import {
  type Comparison,
  comparedTimes,
  comparisons,
  earlierBy,
  type Kind,
  kindOf,
  kinds,
  ownRange,
  wordsOf,
  worse,
} from '../map/difference'

import '../map/map.css'

const Drawing = lazy(() => stubborn(() => import('../map/drawing')))

const columns: Column<Edge>[] = [endColumn('client', 'Client', true), endColumn('server', 'Server'), ...edgeNumbers]

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

const differenceColumns: Column<Edge>[] = [
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

export default function MapPage() {
  const [range] = useRange()
  const [filter, setFilter] = useParam('q')
  const [only, setOnly] = useParam('only')
  const [compare, setCompare] = useParam('compare')
  const [changed, setChanged] = useParam('changed')
  const roomy = useMediaQuery('(min-width: 700px)', true, { getInitialValueInEffect: false })
  const comparing = comparedTimes(compare, range) !== undefined
  const own = ownRange(compare)
  const live = useLive('servicemap', { range })
  const difference = useMapDifference(range, compare)
  const map = comparing ? difference.data : live.data
  const edges = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
    return map?.edges.filter((e) => {
      const text = `${e.client} ${e.server}`.toLowerCase()
      if (only === 'failing' && e.failed === 0) return false
      if (comparing && changed === '1' && kindOf(e) === 'same') return false
      return words.every((w) => text.includes(w))
    })
  }, [map?.edges, filter, only, comparing, changed])
  const present = useMemo(() => edges?.filter((e) => kindOf(e) !== 'gone'), [edges])
  const length = duration(rangeSeconds(range) * 1000)
  const comparisonWords: Record<Comparison, string> = {
    before: `the ${length} before`,
    hour: `the same ${length} an hour before`,
    day: `the same ${length} a day before`,
  }
  return (
    <>
      <PageHeader title="Service map" sentence="Who calls whom, from the client and server spans of both sides." />
      <div className="tools">
        <FilterBox value={filter} onChange={setFilter} label="Filter edges" />
        <Check label="only failing" checked={only === 'failing'} onChange={(on) => setOnly(on ? 'failing' : '')} />
        <div className="compare">
          <span aria-hidden="true">Compare with</span>
          <Pick
            label="Compare with"
            hidden
            value={own ? 'own' : comparing ? compare : ''}
            onChange={(v) => setCompare(v === 'own' ? absoluteRange(shifted(range, -1)) : v, false)}
            options={[
              ['', 'nothing'],
              ...comparisons
                .filter((c) => earlierBy(c, range) > 0 && (c === 'before' || earlierBy(c, range) !== earlierBy('before', range)))
                .map((c): [string, string] => [c, comparisonWords[c]]),
              ['own', 'another time range'],
            ]}
          />
          {own && <RangeText label="Time range to compare with" range={own} onRange={(r) => setCompare(absoluteRange(r), false)} />}
        </div>
        {comparing && <Check label="only changed" checked={changed === '1'} onChange={(on) => setChanged(on ? '1' : '')} />}
        {map && edges && (
          <span className="note">
            {edges.length === map.edges.length ? '' : `${edges.length} of `}
            {map.edges.length} edges, {map.nodes.length} nodes
          </span>
        )}
      </div>
      {comparing && difference.error && map && <Problem error={difference.error} />}
      {map === undefined || edges === undefined || present === undefined ? (
        <Waiting what="the map" error={comparing ? difference.error : live.error} />
      ) : (
        <>
          {comparing && <MetaWarnings meta={map.meta} />}
          {comparing && <Legend edges={map.edges} />}
          {roomy && (
            <Suspense fallback={<div className="drawing" />}>
              <Drawing edges={edges} compare={comparing} />
            </Suspense>
          )}
          {comparing && (
            <Section
              title="Differences"
              note={`${own ? rangeWords(own) : comparisonWords[compare as Comparison]} and ${endsNow(range) ? 'now' : rangeWords(range)}; beyond noise`}
            >
              <Table
                label="Differences"
                rows={edges}
                columns={differenceColumns}
                rowKey={edgeKey}
                sort="kind"
                param="ds"
                empty={
                  changed === '1' && map.edges.every((e) => kindOf(e) === 'same')
                    ? 'Nothing has changed beyond noise.'
                    : 'No edge matches the filter.'
                }
              />
            </Section>
          )}
          <Section title="Edges" note="calls between services in this time range">
            <Table
              label="Edges"
              rows={present}
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
        </>
      )}
    </>
  )
}

function Legend({ edges }: { edges: Edge[] }) {
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
