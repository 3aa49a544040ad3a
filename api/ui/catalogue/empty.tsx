import { ApiError } from '../src/api/client'
import type { Meta } from '../src/api/types'
import { MetaWarnings, Problem, Status, Waiting } from '../src/components/bits'
import { RangeText } from '../src/components/range-text'
import { LiveClient, type Status as LiveStatus } from '../src/live/client'
import { LiveContext } from '../src/live/use-live'
import { Fresh } from '../src/shell/fresh'
import { Warnings } from '../src/shell/warnings'
import { before } from './still'
import '../src/shell/time.css'

const meta: Meta = { lag_ms: 340, partial: false, since: before(7200), source: 'view', up_to: before(1), view_version: 0, warnings: [] }

/** A connection that stands still in one state. */
class Standing extends LiveClient {
  constructor(private readonly state: LiveStatus) {
    super({ url: 'ws://127.0.0.1', get: () => new Promise(() => {}) })
    this.start = () => {}
    ;(this as { getStatus: () => LiveStatus }).getStatus = () => this.state
  }
}

export const still = (s: Partial<LiveStatus>): LiveClient =>
  new Standing({ mode: 'live', paused: false, held: 0, stale: false, meta, ...s })

export function Empty() {
  return (
    <>
      <Waiting what="the services" />
      <Waiting what="the services" error="the views are not ready: try again in 3 s" />
      <Problem error="WatchingCat does not answer." />
      <Problem error={new ApiError(404, 'not_found', 'There is no service "chekout".', 'GET /api/v1/services lists the services.')} />
      <p className="quiet">No trace was kept as an example.</p>
      <p className="problem">
        <Status health="pending" word="Its parent is not among the spans that are kept." />
      </p>
      <MetaWarnings
        meta={{
          ...meta,
          warnings: ['Jaeger does not answer: traces before 02:09 are missing.', 'Records were deleted before they were read.'],
        }}
      />
      <MetaWarnings meta={{ ...meta, partial: true }} />
      <RangeText label="Time range" range="15m" onRange={() => {}} />
    </>
  )
}

const states: Record<string, Partial<LiveStatus>> = {
  live: {},
  late: { meta: { ...meta, up_to: before(95), lag_ms: 94_000 } },
  paused: { paused: true, held: 12 },
  stale: { stale: true },
  connecting: { mode: 'connecting', meta: undefined },
  polling: { mode: 'polling' },
  offline: { mode: 'offline' },
  incomplete: { meta: { ...meta, warnings: ['3 partitions are not read: their broker does not answer.'] } },
}

export function FreshStates() {
  return Object.entries(states).map(([name, s]) => (
    <LiveContext key={name} value={still(s)}>
      <div className="catalogue-row">
        <span className="dim" style={{ width: 100 }}>
          {name}
        </span>
        <Fresh />
      </div>
      <Warnings />
    </LiveContext>
  ))
}
