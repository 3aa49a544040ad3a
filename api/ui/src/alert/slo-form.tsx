import { Button } from '@mantine/core'
import { useState } from 'react'
import type { ApiError } from '../api/client'
import type { SLO } from '../api/types'
import { Problem } from '../components/bits'
import { Pick } from '../components/form'
import { Text } from '../components/text'
import { useLive } from '../live/use-live'
import { draftOf, emptySLO, latencyBounds, type SLODraft, sloField, sloOf } from './budget'
import { useSLOAction } from './slo-queries'

/** The form of a new objective, or of one that is changed. */
export function SLOForm({ of, done }: { of: SLO | undefined; done: () => void }) {
  const [draft, setDraft] = useState(of === undefined ? emptySLO : draftOf(of))
  const services = useLive('services', { range: '1h' }).data?.services
  const { mutate, isPending, error } = useSLOAction()
  const set = (change: Partial<SLODraft>) => setDraft((d) => ({ ...d, ...change }))
  const wrong = error === null ? undefined : sloField(error as ApiError)
  const at = (f: keyof SLODraft) => (wrong?.field === f ? wrong.text : undefined)
  const field = (f: 'name' | 'objective' | 'window' | 'service' | 'operation' | 'good' | 'total' | 'description') => ({
    value: draft[f],
    onChange: (v: string) => set({ [f]: v }),
    error: at(f),
  })
  const promql = draft.by === 'promql'
  return (
    <form
      aria-label={of === undefined ? 'New objective' : `Change ${of.name}`}
      className="rule-form making"
      onSubmit={(e) => {
        e.preventDefault()
        // Labels are made through the API: the form keeps them.
        const slo = { ...sloOf(draft), ...(of?.labels === undefined ? {} : { labels: of.labels }) }
        mutate(of === undefined ? { do: 'create', slo } : { do: 'update', id: of.id, slo }, { onSuccess: done })
      }}
    >
      <div className="row">
        <Text label="Name" {...field('name')} required placeholder="checkout answers" />
        <Text label="Good, %" {...field('objective')} required options={['99', '99.5', '99.9', '99.95', '99.99']} />
        <Text label="Window" {...field('window')} required options={['7d', '28d', '30d', '90d']} />
        <Pick
          label="What is counted"
          value={draft.by}
          onChange={(by) => set({ by })}
          options={[
            ['service', 'requests to a service'],
            ['promql', 'PromQL'],
          ]}
        />
      </div>
      {promql ? (
        <>
          <Text label="Good events" hint="with $window: sum(rate(good_total[$window]))" {...field('good')} required area />
          <Text label="All events" {...field('total')} required area />
        </>
      ) : (
        <div className="row">
          <Text label="Service" {...field('service')} required options={services?.map((s) => s.name) ?? []} />
          <Text label="Operation" hint="all without it" {...field('operation')} />
          <Pick
            label="Good is"
            value={draft.latency}
            error={at('latency') !== undefined}
            onChange={(latency) => set({ latency })}
            options={[
              ['', 'requests without an error'],
              ...latencyBounds.map((b): [string, string] => [String(b), `what takes no longer than ${b} ms`]),
            ]}
          />
        </div>
      )}
      <Text label="Description" {...field('description')} />
      {error && wrong && (wrong.field === undefined || (promql && wrong.field === 'service') || wrong.field === 'latency') && (
        <Problem error={error} />
      )}
      <div className="tools">
        <Button type="submit" variant="filled" disabled={isPending}>
          {of === undefined ? 'Create objective' : 'Save changes'}
        </Button>
      </div>
    </form>
  )
}
