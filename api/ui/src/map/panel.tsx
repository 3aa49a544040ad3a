import { Button, CloseButton } from '@mantine/core'
import { ArrowUpRight, ChartNoAxesGantt, ScrollText, Waypoints } from 'lucide-react'
import { memo } from 'react'
import { Link } from 'wouter'
import type { Alert, Edge, ServiceHealth, ServiceNumbers } from '../api/types'
import { Since, Status } from '../components/bits'
import { LinkButton } from '../components/button'
import { ConnectionType } from '../components/edge'
import { Name } from '../components/name'
import { millis, none, percent, rate } from '../lib/format'
import { byUrgency, failing, type Health, shareClass, summaryOf } from '../lib/health'
import { servicePath, useHref } from '../lib/url'
import { edgeKey } from '../live/views'
import { type Numbers, numbersOf, typeWords } from './boxes'
import { kindOf, wordsOf, worse } from './difference'
import type { GraphNode } from './graph'

interface Props {
  node: GraphNode
  health: Health | undefined
  judged: ServiceHealth | undefined
  alerts: readonly Alert[]
  incoming: readonly NodeEdge[]
  outgoing: readonly NodeEdge[]
  seconds: number
  /** The time that the numbers are of, for links; empty is that of the page. */
  times: Record<string, string>
  onChoose: (id: string) => void
  onFocus: () => void
  onClose: () => void
}

/** An edge with the id of its other end. */
export interface NodeEdge {
  other: string
  edge: Edge
}

/** One service, database or peer of the map: how it is doing, its calls in and out, and where to look next. */
export const NodePanel = memo(function NodePanel(p: Props) {
  const { node: n, judged } = p
  const href = useHref()
  const service = n.type === 'service'
  return (
    <aside className="map-panel card" aria-label={`${n.label} on the map`}>
      <header>
        <h2>
          <Name of={n.label} />
        </h2>
        <CloseButton aria-label="Close the panel" onClick={p.onClose} />
      </header>
      <p className="map-panel-health">
        {p.health ? <Status health={p.health} /> : <span className="dim">{typeWords[n.type]}</span>}
        {judged && <span className="dim">{judged.reason}</span>}
      </p>
      {service ? (
        <Red judged={judged} />
      ) : (
        <Called
          numbers={numbersOf(
            p.incoming.map((e) => e.edge),
            p.seconds,
          )}
        />
      )}
      <p className="map-panel-links">
        {service && (
          <>
            <LinkButton href={href(servicePath(n.name), p.times)} icon={ArrowUpRight}>
              Open service
            </LinkButton>
            <LinkButton href={href('/traces', { service: n.name, ...p.times })} icon={ChartNoAxesGantt}>
              Traces
            </LinkButton>
            <LinkButton href={href('/logs', { service: n.name, ...p.times })} icon={ScrollText}>
              Logs
            </LinkButton>
          </>
        )}
        <Button variant="default" leftSection={<Waypoints size={14} aria-hidden="true" />} onClick={p.onFocus}>
          Neighbourhood
        </Button>
      </p>
      {p.alerts.length > 0 && <Alerts of={p.alerts} />}
      <Edges title="Calls in" edges={p.incoming} end="client" seconds={p.seconds} onChoose={p.onChoose} />
      <Edges title="Calls out" edges={p.outgoing} end="server" seconds={p.seconds} onChoose={p.onChoose} />
    </aside>
  )
})

function Red({ judged }: { judged: ServiceHealth | undefined }) {
  const row = (label: string, of: (n: ServiceNumbers) => string, unit: string, bad?: boolean) => (
    <tr>
      <th scope="row">{label}</th>
      <td className={bad ? 'num bad' : 'num'}>{judged?.now ? `${of(judged.now)} ${unit}` : none}</td>
      <td className="num dim">{judged?.before ? `${of(judged.before)} ${unit}` : none}</td>
    </tr>
  )
  return (
    <table aria-label="Incoming requests">
      <thead>
        <tr>
          <th scope="col">Requests</th>
          <th scope="col" className="num">
            Last minute
          </th>
          <th scope="col" className="num">
            Hour before
          </th>
        </tr>
      </thead>
      <tbody>
        {row('Rate', (n) => rate(n.rate), '/s')}
        {row('Failed', (n) => percent(n.error_rate), '%', !!judged?.now && failing(judged.now.error_rate))}
        {row('p95', (n) => millis(n.p95_ms), 'ms')}
      </tbody>
    </table>
  )
}

function Called({ numbers }: { numbers: Numbers | undefined }) {
  if (numbers === undefined) return <p className="dim">No calls in this time.</p>
  return (
    <p>
      {rate(numbers.rate)} calls/s, <span className={shareClass(numbers.share)}>{percent(numbers.share)} % failed</span>, p95{' '}
      {millis(numbers.p95)} ms
    </p>
  )
}

function Alerts({ of }: { of: readonly Alert[] }) {
  const href = useHref()
  return (
    <section>
      <h3>Alerts</h3>
      <ul>
        {[...of].sort(byUrgency).map((a) => (
          <li key={a.fingerprint}>
            <Status health={a.state} />{' '}
            <Link href={href('/alerts', { q: a.labels.alertname ?? '' })}>
              <bdi>{summaryOf(a)}</bdi>
            </Link>{' '}
            <span className="dim">
              for <Since time={a.active_at} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
}

interface EdgesProps {
  title: string
  edges: readonly NodeEdge[]
  end: 'client' | 'server'
  seconds: number
  onChoose: (id: string) => void
}

const mostEdges = 50

function Edges({ title, edges, end, seconds, onChoose }: EdgesProps) {
  if (edges.length === 0) return null
  const worst = [...edges].sort((a, b) => shareOf(b.edge) - shareOf(a.edge) || b.edge.calls - a.edge.calls)
  return (
    <section>
      <h3>
        {title} <span className="dim">{edges.length}</span>
      </h3>
      <ul className="map-panel-edges">
        {worst.slice(0, mostEdges).map(({ other, edge: e }) => (
          <li key={edgeKey(e)}>
            <button type="button" className="name" title={e[end]} onClick={() => onChoose(other)}>
              <Name of={e[end] || '(empty name)'} />
            </button>
            <span className="map-panel-numbers">
              {e.connection_type !== '' && <ConnectionType type={e.connection_type} />}
              {kindOf(e) === 'same' || e.change === undefined ? (
                <EdgeNumbers edge={e} seconds={seconds} />
              ) : (
                <span className={worse(e) ? 'bad' : undefined}>{wordsOf(e).join(', ')}</span>
              )}
            </span>
          </li>
        ))}
      </ul>
      {worst.length > mostEdges && <p className="dim">{worst.length - mostEdges} more are in the table below.</p>}
    </section>
  )
}

const shareOf = (e: Edge): number => (e.calls === 0 ? 0 : e.failed / e.calls)

function EdgeNumbers({ edge: e, seconds }: { edge: Edge; seconds: number }) {
  const n = numbersOf([e], seconds)
  if (n === undefined) return <span className="dim">no calls</span>
  return (
    <>
      <span>{rate(n.rate)} /s</span>
      <span className={shareClass(n.share)}>{percent(n.share)} %</span>
      <span>{millis(n.p95)} ms</span>
    </>
  )
}
