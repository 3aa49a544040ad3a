import { rangeOf } from '../lib/range'

export type Tab = 'graph' | 'heatmap' | 'table'

export interface PanelQuery {
  expr: string
  tab: Tab
}

const most = 20

/** The queries of an address, as Prometheus writes them: g0.expr, g0.tab, g1.expr and so on. Its older tabs are 0, the graph, and 1, the table. */
export function queriesOf(params: URLSearchParams): PanelQuery[] {
  const out: PanelQuery[] = []
  for (let i = 0; i < most && params.has(`g${i}.expr`); i++) {
    const tab = params.get(`g${i}.tab`)
    out.push({
      expr: params.get(`g${i}.expr`) ?? '',
      tab: tab === 'table' || tab === '1' ? 'table' : tab === 'heatmap' ? 'heatmap' : 'graph',
    })
  }
  return out.length === 0 ? [{ expr: '', tab: 'graph' }] : out
}

/** The address with these queries instead of those that it has. */
export function withQueries(params: URLSearchParams, queries: readonly PanelQuery[]): URLSearchParams {
  const next = new URLSearchParams(params)
  for (const k of [...next.keys()]) if (/^g\d+\./.test(k)) next.delete(k)
  queries.slice(0, most).forEach((q, i) => {
    if (q.expr !== '' || queries.length > 1) next.set(`g${i}.expr`, q.expr)
    if (q.tab !== 'graph') next.set(`g${i}.tab`, q.tab)
  })
  return next
}

/** What an address of Prometheus' page is here: its queries, and the time range of the first as that of the page. */
export function metricsPathOf(params: URLSearchParams): string {
  const next = withQueries(new URLSearchParams(), queriesOf(params))
  const length = params.get('g0.range_input') ?? ''
  const end = params.get('g0.end_input') ?? params.get('g0.moment_input') ?? ''
  if (/^\d+[smhdw]$/.test(length)) {
    const to = end === '' ? Number.NaN : Date.parse(`${end.replace(' ', 'T')}${/(Z|[+-]\d\d:?\d\d)$/.test(end) ? '' : 'Z'}`) / 1000
    if (Number.isFinite(to)) {
      const units: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }
      const seconds = Number(length.slice(0, -1)) * (units[length.slice(-1)] as number)
      next.set('from', String(to - seconds))
      next.set('to', String(to))
    } else if (rangeOf(`now-${length}`, 'now') !== undefined) next.set('from', `now-${length}`)
  }
  const s = next.toString()
  return s === '' ? '/query' : `/query?${s}`
}
