import { Button } from '@mantine/core'
import { Plus } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { DashboardPanel } from '../api/types'
import { Pick } from '../components/form'
import { Text } from '../components/text'
import type { Range } from '../lib/range'
import { PromQLField } from '../promql/editor'
import { PanelView } from './panel-view'
import { reducers, units } from './units'
import type { Scope } from './variables'

const types: [DashboardPanel['type'], string][] = [
  ['timeseries', 'lines over time'],
  ['stat', 'number'],
  ['heatmap', 'heatmap'],
  ['table', 'table'],
  ['text', 'text'],
  ['row', 'row heading'],
]

const widths = Array.from({ length: 12 }, (_, i): [string, string] => [String(i + 1), `${i + 1} of 12 columns`])
const heights = Array.from({ length: 20 }, (_, i): [string, string] => [String(i + 1), `${i + 1}`])

export const newPanel: DashboardPanel = { type: 'timeseries', title: '', width: 6, height: 5, queries: [{ expr: '' }] }

interface Props {
  panel: DashboardPanel
  scope: Scope
  range: Range
  onChange: (p: DashboardPanel) => void
  onDone: () => void
}

/** The fields of one panel, and how it looks with them. */
export function PanelForm({ panel: p, scope, range, onChange, onDone }: Props) {
  const set = (change: Partial<DashboardPanel>) => onChange({ ...p, ...change })
  const queries = p.queries ?? []
  const asks = p.type !== 'text' && p.type !== 'row'
  const setQuery = (at: number, change: Partial<(typeof queries)[number]>) =>
    set({ queries: queries.map((q, i) => (i === at ? { ...q, ...change } : q)) })
  const previewed = usePaused(p, 500)
  return (
    <section className="dash-edit" aria-label={`Edit ${p.title || 'panel'}`}>
      <div className="dash-fields">
        <div className="row">
          <Text label="Panel title" value={p.title ?? ''} onChange={(title) => set({ title })} />
          <Pick
            label="Type"
            value={p.type}
            options={types}
            onChange={(type) =>
              set(
                type === 'text' || type === 'row'
                  ? { type, queries: [] }
                  : { type, queries: queries.length > 0 ? queries : [{ expr: '' }] },
              )
            }
          />
          {asks && <Pick label="Unit" value={p.unit ?? ''} options={units} onChange={(unit) => set({ unit })} />}
          {p.type === 'stat' && (
            <Pick label="Calculation" value={p.reduce || 'last'} options={reducers} onChange={(reduce) => set({ reduce })} />
          )}
        </div>
        <div className="row">
          <Pick label="Width" value={String(p.width)} options={widths} onChange={(w) => set({ width: Number(w) })} />
          <Pick label="Height" value={String(p.height)} options={heights} onChange={(h) => set({ height: Number(h) })} />
          <Text label="Description" value={p.description ?? ''} onChange={(description) => set({ description })} />
        </div>
        {p.type === 'text' && (
          <Text
            label="Text"
            hint={`Markdown, ${(p.text ?? '').length} of 20,000 characters`}
            value={p.text ?? ''}
            onChange={(text) => set({ text })}
            area
          />
        )}
        {asks &&
          queries.map((q, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: queries have no other name
            <div className="dash-query" key={i}>
              <PromQLField
                label={queries.length > 1 ? `Expression ${i + 1}` : 'Expression'}
                value={q.expr}
                onChange={(expr) => setQuery(i, { expr })}
                placeholder="PromQL, with $variables and $__rate_interval"
              />
              <Text label="Legend" value={q.legend ?? ''} onChange={(legend) => setQuery(i, { legend })} placeholder="{{label}}" />
              {queries.length > 1 && (
                <Button aria-label={`Remove query ${i + 1}`} onClick={() => set({ queries: queries.filter((_, j) => j !== i) })}>
                  Remove
                </Button>
              )}
            </div>
          ))}
        <div className="tools">
          {asks && queries.length < 20 && (
            <Button leftSection={<Plus size={14} aria-hidden="true" />} onClick={() => set({ queries: [...queries, { expr: '' }] })}>
              Add query
            </Button>
          )}
          <Button variant="filled" onClick={onDone}>
            Done
          </Button>
        </div>
      </div>
      <div className="dash-preview">
        <PanelView
          panel={{ ...previewed, queries: (previewed.queries ?? []).filter((q) => q.expr.trim() !== '') }}
          scope={scope}
          range={range}
        />
      </div>
    </section>
  )
}

/** A value once it has stayed the same for a while: half an expression is no question to ask. */
function usePaused<T>(value: T, ms: number): T {
  const [paused, setPaused] = useState(value)
  useEffect(() => {
    const t = setTimeout(() => setPaused(value), ms)
    return () => clearTimeout(t)
  }, [value, ms])
  return paused
}
