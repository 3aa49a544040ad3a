import { memo, useMemo, useState } from 'react'
import type { TraceSummary } from '../api/types'
import { exact } from '../lib/format'
import { type Facet, facetsOf } from './heat'

const shown = 8

interface Props {
  traces: readonly TraceSummary[]
  service: string
  operation: string
  status: string
  onChoose: (values: { service?: string; operation?: string; status?: string }) => void
}

/** What the traces of the sample have in common, as filters. */
export const Facets = memo(function Facets({ traces, service, operation, status, onChoose }: Props) {
  const statuses = useMemo(() => facetsOf(traces, (t) => [t.errorSpanCount > 0 ? 'error' : 'ok']), [traces])
  const services = useMemo(() => facetsOf(traces, (t) => t.services.map((s) => s.name)), [traces])
  const roots = useMemo(
    () => facetsOf(traces, (t) => (t.rootServiceName === '' ? [] : [`${t.rootServiceName}\u0000${t.rootOperationName}`])),
    [traces],
  )
  return (
    <div className="facets">
      <FacetList
        title="Status"
        list={statuses}
        chosen={status}
        textOf={(v) => (v === 'error' ? 'failed' : 'not failed')}
        onChoose={(v) => onChoose({ status: v })}
      />
      <FacetList
        title="Service"
        list={services}
        chosen={service}
        textOf={(v) => v || '(empty name)'}
        onChoose={(v) => onChoose({ service: v })}
      />
      <FacetList
        title="Root operation"
        list={roots}
        chosen={`${service}\u0000${operation}`}
        textOf={(v) => v.replace('\u0000', ' ')}
        onChoose={(v) => {
          const [of = '', name = ''] = v.split('\u0000')
          onChoose({ service: of, operation: name })
        }}
      />
    </div>
  )
})

interface ListProps {
  title: string
  list: readonly Facet[]
  chosen: string
  textOf: (value: string) => string
  onChoose: (value: string) => void
}

function FacetList({ title, list, chosen, textOf, onChoose }: ListProps) {
  const [all, setAll] = useState(false)
  if (list.length === 0) return null
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <ul>
        {list.slice(0, all ? undefined : shown).map((f) => (
          <li key={f.value}>
            <button
              type="button"
              aria-pressed={f.value === chosen}
              title={`${textOf(f.value)}: ${exact(f.count)} traces, ${exact(f.failed)} with failed spans`}
              onClick={() => onChoose(f.value === chosen ? '' : f.value)}
            >
              <bdi>{textOf(f.value)}</bdi>
              <span className="facet-counts">
                {f.failed > 0 && <span className="bad">{exact(f.failed)}</span>} <span className="dim">{exact(f.count)}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
      {list.length > shown && (
        <button type="button" className="facet-more" onClick={() => setAll(!all)}>
          {all ? 'Fewer' : `${list.length - shown} more`}
        </button>
      )}
    </section>
  )
}
