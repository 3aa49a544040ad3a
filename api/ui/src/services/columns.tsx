import type { ReactNode } from 'react'
import { budgetText } from '../alert/budget'
import type { Deployment, ServiceNumbers } from '../api/types'
import { Ago, ServiceLink, Since, Status } from '../components/bits'
import { Spark } from '../components/spark'
import { absolute, millis, none, percent, rate } from '../lib/format'
import { shareClass, unhealthy } from '../lib/health'
import { dimensionValues } from '../live/views'
import { type ServiceRow, shareGrown, timesSlower } from './rows'

export interface ServiceColumn {
  id: string
  label: string
  unit?: string
  title?: string
  className: string
  numeric?: boolean
  /** Cannot be left out. */
  fixed?: boolean
  /** Left out until it is chosen. */
  extra?: boolean
  /** Left out on narrow screens. */
  wide?: boolean
  cell: (row: ServiceRow, group: string) => ReactNode
  /** Said on hover and focus. */
  tip?: (row: ServiceRow) => string
}

/** The last minute, the mean of the range, and the baseline of one number. */
function threeOf(show: (n: ServiceNumbers) => string, unit: string) {
  return (r: ServiceRow): string => {
    const { now, before } = r.service
    return [
      `last minute ${now ? show(now) : none} ${unit}`,
      r.trend && `mean of the range ${show(r.trend.mean)} ${unit}`,
      before && `baseline ${show(before)} ${unit}`,
    ]
      .filter(Boolean)
      .join(' · ')
  }
}

const rateOf = (n: ServiceNumbers) => rate(n.rate)
const failedOf = (n: ServiceNumbers) => percent(n.error_rate)
const p95Of = (n: ServiceNumbers) => millis(n.p95_ms)

export const columns: ServiceColumn[] = [
  {
    id: 'health',
    label: 'Health',
    className: 's-health',
    fixed: true,
    cell: (r) => (
      <>
        <Status health={r.health} />
        {unhealthy(r.health) && <span className="hidden">: {r.reason}</span>}
      </>
    ),
    tip: (r) => r.reason,
  },
  {
    id: 'service',
    label: 'Service',
    className: 's-name',
    fixed: true,
    cell: (r, group) => (
      <>
        <ServiceLink name={r.service.name} row />
        {r.service.dimensions && <span className="dim"> {dimensionValues(without(r.service.dimensions, group))}</span>}
        {unhealthy(r.health) && (
          <span className="s-reason" aria-hidden="true">
            {r.reason}
          </span>
        )}
      </>
    ),
  },
  {
    id: 'rate',
    label: 'Requests',
    unit: '/s',
    title: 'Server and consumer spans per second: the last minute, and over the range',
    className: 's-trend',
    numeric: true,
    cell: (r) => (
      <>
        <Spark values={r.trend?.rate} label={`Requests of ${r.service.name} over the range`} />
        <span className="s-now">{r.service.now ? rate(r.service.now.rate) : r.service.before ? '0' : none}</span>
      </>
    ),
    tip: threeOf(rateOf, '/s'),
  },
  {
    id: 'failed',
    label: 'Failed',
    unit: '%',
    title: 'Share of server and consumer spans with status ERROR: the last minute, and over the range',
    className: 's-trend',
    numeric: true,
    cell: (r) => {
      const { now } = r.service
      const grown = shareGrown(r.service)
      return (
        <>
          <Spark
            values={r.trend?.error_rate}
            least={0.02}
            tone={r.service.health === 'failing' ? 'bad' : 'quiet'}
            label={`Failed share of ${r.service.name} over the range`}
          />
          <span className="s-now">{now ? <span className={shareClass(now.error_rate)}>{percent(now.error_rate)}</span> : none}</span>
          <span className="s-change">{grown !== undefined && `+${percent(grown)} pt`}</span>
        </>
      )
    },
    tip: threeOf(failedOf, '%'),
  },
  {
    id: 'p95',
    label: 'p95',
    unit: 'ms',
    title: '95th percentile of the duration of server and consumer spans: the last minute, and over the range',
    className: 's-trend',
    numeric: true,
    cell: (r) => {
      const times = timesSlower(r.service)
      return (
        <>
          <Spark values={r.trend?.p95_ms} tone={times !== undefined ? 'slow' : 'quiet'} label={`p95 of ${r.service.name} over the range`} />
          <span className="s-now">{r.service.now ? millis(r.service.now.p95_ms) : none}</span>
          <span className="s-change s-times">{times !== undefined && `×${times < 10 ? times.toFixed(1) : Math.round(times)}`}</span>
        </>
      )
    },
    tip: threeOf(p95Of, 'ms'),
  },
  {
    id: 'deployed',
    label: 'Deployed',
    title: 'The newest version first seen within the last day after another one',
    className: 's-deployed',
    numeric: true,
    wide: true,
    cell: (r) =>
      r.deployed ? (
        <span className={recent(r.deployed) ? 's-version s-recent' : 's-version'}>
          <bdi>{r.deployed.version}</bdi> · <Since time={r.deployed.first_seen ?? ''} />
        </span>
      ) : (
        <span className="dim">{none}</span>
      ),
    tip: (r) =>
      r.deployed?.first_seen ? `${r.deployed.version} first seen ${absolute(r.deployed.first_seen)}` : 'no new version within a day',
  },
  {
    id: 'budget',
    label: 'SLO budget',
    unit: '%',
    title: 'What is left of the error budget, the least of the objectives of the service',
    className: 's-budget',
    numeric: true,
    wide: true,
    cell: (r) =>
      r.budget === undefined ? (
        <span className="dim">{none}</span>
      ) : (
        <span className={r.budget <= 0 ? 'bad' : undefined}>{budgetText(r.budget)}</span>
      ),
    tip: (r) => (r.budget === undefined ? 'no objective' : `${budgetText(r.budget)} % of the error budget is left`),
  },
  {
    id: 'why',
    label: 'Reason',
    className: 's-why',
    extra: true,
    cell: (r) => <span className="dim">{r.reason}</span>,
  },
  {
    id: 'seen',
    label: 'Last seen',
    className: 's-seen',
    numeric: true,
    extra: true,
    cell: (r) => (
      <span className="dim">
        <Ago time={r.service.last_seen} />
      </span>
    ),
  },
]

const recent = (d: Deployment): boolean => d.first_seen !== null && Date.now() - Date.parse(d.first_seen) < 3_600_000

function without(dimensions: Record<string, string>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(dimensions).filter(([n]) => n !== name))
}

/** The columns that `cols` of the URL names; those shown at first where it is empty. */
export function chosenColumns(cols: string, narrow = false): ServiceColumn[] {
  const names = cols.split(',')
  return columns.filter((c) => c.fixed || (cols === '' ? !c.extra : names.includes(c.id))).filter((c) => !narrow || !c.wide)
}

/** What the URL says when a column is shown or not; empty where that is as at first. */
export function toggled(cols: string, id: string): string {
  const shown = new Set(chosenColumns(cols).map((c) => c.id))
  if (!shown.delete(id)) shown.add(id)
  const optional = columns.filter((c) => !c.fixed)
  if (optional.every((c) => shown.has(c.id) !== Boolean(c.extra))) return ''
  return (
    optional
      .filter((c) => shown.has(c.id))
      .map((c) => c.id)
      .join(',') || 'none'
  )
}
