import type { DashboardHeader, IncidentHeader, Rule, SavedView, Service } from '../api/types'
import { dashboardPath } from '../dash/queries'
import { incidentPath } from '../incident/lead'
import { endsNow, quickRanges, type Range, rangeSeconds } from '../lib/range'
import { rangeWords } from '../lib/range-words'
import { servicePath, tracePath } from '../lib/url'
import { rangeOfText } from '../lib/when'
import type { Zone } from '../lib/zone'
import { navPages, others } from '../shell/nav'
import { traceIDOf } from '../trace/ids'
import { type Entry, type Found, find, most } from './match'

export interface Known {
  services: readonly Pick<Service, 'name'>[]
  incidents: readonly Pick<IncidentHeader, 'id' | 'title' | 'names' | 'services'>[]
  dashboards: readonly Pick<DashboardHeader, 'id' | 'title'>[]
  rules: readonly Pick<Rule, 'id' | 'name' | 'group' | 'type'>[]
  views: readonly SavedView[]
}

const pages: Entry[] = [...navPages, ...others.filter((p) => !p.hidden)].map((p) => ({
  id: `page ${p.path}`,
  kind: 'page',
  label: p.label,
  to: { path: p.path },
}))

const rangeEntry = (range: Range): Entry => ({ id: `range ${range}`, kind: 'range', label: rangeWords(range), to: { range } })

const ranges: Entry[] = quickRanges.map(([r]) => rangeEntry(r))

/** All that can be found by its name. A service has one page for all values of its dimensions. */
export function entriesOf({ services, incidents, dashboards, rules, views }: Known): Entry[] {
  const names = [...new Set(services.map((s) => s.name))].sort()
  return [
    ...pages,
    ...incidents.map(
      (i): Entry => ({
        id: `incident ${i.id}`,
        kind: 'incident',
        label: i.title,
        detail: i.names.join(', '),
        also: [...i.names, ...i.services].join(' '),
        to: { path: incidentPath(i.id) },
      }),
    ),
    ...names.map((name): Entry => ({ id: `service ${name}`, kind: 'service', label: name, to: { path: servicePath(name) } })),
    ...views.map((v): Entry => ({ id: `view ${v.id}`, kind: 'view', label: v.name, detail: v.page, to: { view: v } })),
    ...dashboards.map((d): Entry => ({ id: `dashboard ${d.id}`, kind: 'dashboard', label: d.title, to: { path: dashboardPath(d.id) } })),
    ...rules
      .filter((r) => r.type === 'alerting')
      .map(
        (r): Entry => ({
          id: `rule ${r.id}`,
          kind: 'rule',
          label: r.name,
          detail: r.group,
          to: { path: `/alerts/rules/${encodeURIComponent(r.id)}` },
        }),
      ),
    ...ranges,
  ]
}

/** Short words such as "cafe" are hexadecimal too: alone, a trace ID has at least 64 bits. */
const shortestID = 16

function traceEntry(text: string): Entry | undefined {
  const id = traceIDOf(text)
  if (id === undefined || (id.length < shortestID && !text.includes('/'))) return undefined
  return { id: `trace ${id}`, kind: 'trace', label: id, to: { path: tracePath(id) } }
}

/** A range as it is typed, in the spelling of the list where that has it. */
function typedRange(text: string, now: number, zone: Zone): Entry | undefined {
  const range = rangeOfText(text, now, zone)
  if (range === undefined) return undefined
  const quick = endsNow(range) ? quickRanges.find(([r]) => rangeSeconds(r) === rangeSeconds(range)) : undefined
  return rangeEntry(quick?.[0] ?? range)
}

/** What the text finds: first what it is itself, a trace or a time range, then the entries that match it. */
export function search(entries: readonly Entry[], text: string, now: number, zone: Zone): Found {
  const trace = traceEntry(text)
  if (trace !== undefined) return { groups: [{ kind: 'trace', entries: [trace] }], total: 1 }
  const range = typedRange(text, now, zone)
  if (range === undefined) return find(entries, text)
  const rest = find(
    entries.filter((e) => e.id !== range.id),
    text,
  )
  let room = most - 1
  const groups = rest.groups.map((g) => {
    const taken = g.entries.slice(0, room)
    room -= taken.length
    return { ...g, entries: g.kind === 'range' ? [range, ...taken] : taken }
  })
  if (!groups.some((g) => g.kind === 'range')) groups.unshift({ kind: 'range', entries: [range] })
  return {
    groups: groups.filter((g) => g.entries.length > 0).sort((a, b) => Number(b.kind === 'range') - Number(a.kind === 'range')),
    total: rest.total + 1,
  }
}
