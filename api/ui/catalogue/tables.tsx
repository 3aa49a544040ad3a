import type { Alert, Deployment, ServiceHealth, ServiceTrend } from '../src/api/types'
import { Status } from '../src/components/bits'
import { type Column, Table } from '../src/components/table'
import { millis, percent, rate } from '../src/lib/format'
import { type Health, shareClass } from '../src/lib/health'
import { chosenColumns } from '../src/services/columns'
import { rowsOf } from '../src/services/rows'
import { ServicesTable } from '../src/services/table'
import { before } from './still'

interface Call {
  name: string
  health: Health
  rate: number
  failed: number
  p95: number
}

const calls: Call[] = [
  { name: 'POST /checkout', health: 'failing', rate: 2.7, failed: 0.441, p95: 918 },
  { name: 'GET /cart', health: 'ok', rate: 12.4, failed: 0, p95: 42.3 },
  {
    name: 'GET /product/{id} with a name that is long enough to need more than the room that there is',
    health: 'slower',
    rate: 310,
    failed: 0.002,
    p95: 1230,
  },
  { name: 'نقطة النهاية', health: 'few', rate: 0.004, failed: 0, p95: 0.21 },
]

const columns: Column<Call>[] = [
  { id: 'name', label: 'Operation', sort: (c) => c.name, cell: (c) => <bdi>{c.name}</bdi> },
  { id: 'health', label: 'Health', cell: (c) => <Status health={c.health} /> },
  { id: 'rate', label: 'Rate', unit: '/s', numeric: true, sort: (c) => c.rate, cell: (c) => rate(c.rate) },
  {
    id: 'failed',
    label: 'Failed',
    unit: '%',
    numeric: true,
    sort: (c) => c.failed,
    cell: (c) => <span className={shareClass(c.failed)}>{percent(c.failed)}</span>,
  },
  { id: 'p95', label: 'p95', unit: 'ms', numeric: true, sort: (c) => c.p95, cell: (c) => millis(c.p95) },
]
const nameOf = (c: Call) => c.name
const marked = (c: Call) => c.name === 'GET /cart'
const nothing = () => {}

export function Tables() {
  return (
    <>
      <Table label="Operations" rows={calls} columns={columns} rowKey={nameOf} sort="-rate" empty="" onOpen={nothing} marked={marked} />
      <Table label="No operations" rows={[]} columns={columns} rowKey={nameOf} sort="name" empty="No operation matches the filter." />
    </>
  )
}

const judged = (name: string, health: ServiceHealth['health'], now: [number, number, number] | null, reason = ''): ServiceHealth => ({
  name,
  health,
  reason,
  now: now && { rate: now[0], error_rate: now[1], p95_ms: now[2] },
  before: health === 'no_data' ? null : { rate: 2.6, error_rate: 0.002, p95_ms: 74 },
  last_seen: before(now ? 1 : 240),
})

const services = [
  judged('checkout', 'failing', [2.7, 0.441, 118], 'fails 44 % of its calls, 0.2 % before'),
  judged('search', 'slower', [12.1, 0.001, 1240], 'p95 is 1.2 s, 74 ms before'),
  judged('shipping', 'silent', null, 'no calls for 4 min, 2.6 /s before'),
  judged('payment', 'ok', [2.6, 0.021, 65.7]),
  judged('cart', 'ok', [310, 0, 12.4]),
  judged('email', 'few_calls', [0.02, 0, 3.1]),
  judged('a-service-with-a-name-that-is-longer-than-its-column-can-show', 'no_data', null),
]

const trend = (name: string, n: number): ServiceTrend => {
  const of = (top: number, at = 0) => Array.from({ length: 30 }, (_, i) => top * (1 + 0.3 * Math.sin(i / 3 + n)) * (i >= at ? 1 : 0.02))
  return { name, mean: { rate: 2.5, error_rate: 0.1, p95_ms: 90 }, rate: of(2.7), error_rate: of(0.4, 22), p95_ms: of(118, 20) }
}

const firing = [{ state: 'firing', labels: { alertname: 'ErrorsInService', service_name: 'payment' } }] as unknown as Alert[]
const rows = rowsOf(services, new Map([['payment', firing]]), new Map(services.map((s, n) => [s.name, trend(s.name, n)])), new Map(), {
  deployed: new Map([['payment', { service: 'payment', version: '1.5.0', first_seen: before(500) } as Deployment]]),
  budgets: new Map([
    ['checkout', -0.42],
    ['cart', 0.981],
  ]),
})

export function Services() {
  return (
    <>
      <ServicesTable rows={rows} columns={chosenColumns('')} sort="health" onSort={nothing} group="" onOpen={nothing} />
      <ServicesTable
        rows={[{ group: 'production', services: 2, unhealthy: 1 }, ...rows.slice(0, 2)]}
        columns={chosenColumns('rate,why,seen')}
        sort="-rate"
        onSort={nothing}
        group="deployment.environment.name"
        onOpen={nothing}
      />
    </>
  )
}
