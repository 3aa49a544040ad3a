import { TextInput } from '@mantine/core'
import { ChevronDown, ChevronRight, Minus, Search } from 'lucide-react'
import { memo, useMemo, useState } from 'react'
import type { SpanAnalysis } from '../api/types'
import { Waiting } from '../components/bits'
import { Name } from '../components/name'
import { exact, percent } from '../lib/format'
import { type Condition, parseConditions } from './conditions'
import { normal, same } from './tokens'

interface Value {
  text: string
  count: number
  failed: number
  /** The filter that selects these spans; undefined: no filter can. */
  token: Condition | undefined
}

interface Facet {
  title: string
  values: Value[]
  /** Different values that were counted. */
  distinct: number
}

interface Props {
  data: SpanAnalysis | undefined
  error: Error | null
  /** The counts are of the filters before. */
  stale: boolean
  tokens: readonly Condition[]
  onAdd: (c: Condition) => void
  onRemove: (c: Condition) => void
}

const titles: Record<string, string> = { 'service.name': 'Service', 'span.name': 'Operation', 'span.kind': 'Kind' }
const first = ['service.name', 'span.name']
const opened = 6
const shown = 6

/** What the spans that match have in common, counted over all of them; each value is a filter. */
export const Facets = memo(function Facets({ data, error, stale, tokens, onAdd, onRemove }: Props) {
  const [find, setFind] = useState('')
  const facets = useMemo(() => (data === undefined ? undefined : facetsOf(data)), [data])
  if (data === undefined || facets === undefined) {
    return (
      <div className="facets">
        <Waiting what="the counts" error={error} />
      </div>
    )
  }
  const p = find.trim().toLowerCase()
  const listed = p === '' ? facets : facets.filter((f) => f.title.toLowerCase().includes(p))
  const choice = { tokens, onAdd, onRemove }
  return (
    <section className="facets" data-stale={stale || undefined} aria-label="Counts by attribute">
      <p className="dim facets-note">
        {exact(data.spans)} {data.sampled ? `spans counted, a sample of ${percent(data.read_share)} %` : 'spans match'}
        {tokens.some((t) => t.key === 'trace.duration') && '. The counts ignore trace.duration'}
      </p>
      <TextInput
        aria-label="Find an attribute"
        placeholder="Find an attribute"
        value={find}
        onChange={(e) => setFind(e.currentTarget.value)}
        leftSection={<Search size={13} aria-hidden="true" />}
        spellCheck={false}
        autoComplete="off"
      />
      {listed.map((f, i) => (
        <FacetList key={f.title} facet={f} open={i < opened || p !== ''} {...choice} />
      ))}
      {listed.length === 0 && <p className="dim">No attribute has this in its name.</p>}
    </section>
  )
})

function facetsOf(data: SpanAnalysis): Facet[] {
  const status = (text: string, value: string, count: number, failed: number): Value => ({
    text,
    count,
    failed,
    token: { key: 'status', op: '=', value },
  })
  const place = (key: string) => (first.includes(key) ? first.indexOf(key) : /[._]id$/.test(key) ? first.length + 1 : first.length)
  const list = (data.facets ?? []).toSorted((a, b) => place(a.key) - place(b.key))
  return [
    {
      title: 'Status',
      distinct: 2,
      values: [status('failed', 'failed', data.failed, data.failed), status('not failed', 'ok', data.spans - data.failed, 0)].filter(
        (v) => v.count > 0,
      ),
    },
    ...list.map((f) => ({
      title: titles[f.key] ?? f.key,
      distinct: f.distinct,
      values: f.values.map((v) => ({ text: v.value, count: v.spans, failed: v.failed, token: tokenOf(v.condition) })),
    })),
  ]
}

/** A condition of the server as a token: its value is text as it stands. */
function tokenOf(condition: string): Condition | undefined {
  const at = condition.indexOf('=')
  if (at < 1) return undefined
  const key = condition.slice(0, at)
  if (parseConditions(key).list[0]?.key !== key) return undefined
  const c = normal({ key, op: '=', value: condition.slice(at + 1) })
  return typeof c === 'string' ? undefined : c
}

interface ListProps extends Pick<Props, 'tokens' | 'onAdd' | 'onRemove'> {
  facet: Facet
  open: boolean
}

function FacetList({ facet: f, open: initial, ...choice }: ListProps) {
  const [toggled, setToggled] = useState(false)
  const [all, setAll] = useState(false)
  const open = initial !== toggled
  if (f.values.length === 0) return null
  const most = Math.max(...f.values.map((v) => v.count))
  const Icon = open ? ChevronDown : ChevronRight
  return (
    <section aria-label={f.title}>
      <h2>
        <button type="button" aria-expanded={open} onClick={() => setToggled(!toggled)}>
          <Icon size={13} aria-hidden="true" />
          <Name of={f.title} />
        </button>
      </h2>
      {open && (
        <ul>
          {f.values.slice(0, all ? undefined : shown).map((v) => (
            <FacetValue key={v.text} value={v} share={v.count / most} {...choice} />
          ))}
        </ul>
      )}
      {open && f.values.length > shown && (
        <button type="button" className="facet-more" onClick={() => setAll(!all)}>
          {all ? 'Fewer' : `${f.values.length - shown} more`}
        </button>
      )}
      {open && all && f.distinct > f.values.length && (
        <p className="dim facets-note">
          The {f.values.length} most frequent of {exact(f.distinct)} values.
        </p>
      )}
    </section>
  )
}

function FacetValue({ value: v, share, tokens, onAdd, onRemove }: Omit<ListProps, 'facet' | 'open'> & { value: Value; share: number }) {
  const { token } = v
  const chosen = token && tokens.find((t) => same(t, token))
  const text = v.text === '' ? '""' : v.text
  const counts = `${exact(v.count)} spans, ${exact(v.failed)} of them failed`
  const exclude = () => {
    if (token === undefined) return
    const not = normal({ ...token, op: '!=' })
    if (typeof not !== 'string') onAdd(not)
  }
  return (
    <li>
      <button
        type="button"
        className="facet-value"
        aria-pressed={chosen !== undefined}
        disabled={token === undefined}
        title={`${text}: ${counts}. Click to filter, Alt+click to exclude.`}
        onClick={(e) => {
          if (token === undefined) return
          if (e.altKey) exclude()
          else if (chosen) onRemove(chosen)
          else onAdd(token)
        }}
      >
        <Name of={text} />
        <span className="facet-counts">
          {v.failed > 0 && v.failed < v.count && <span className="bad">{exact(v.failed)}</span>}{' '}
          <span className={v.failed === v.count ? 'bad' : 'dim'}>{exact(v.count)}</span>
        </span>
        <span className="facet-bar" aria-hidden="true">
          <span style={{ width: `${100 * share}%` }} />
        </span>
      </button>
      {token !== undefined && (
        <button type="button" className="facet-not" aria-label={`Exclude ${text}`} title={`Exclude ${text}`} onClick={exclude}>
          <Minus size={13} aria-hidden="true" />
        </button>
      )}
    </li>
  )
}
