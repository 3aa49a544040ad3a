import { MultiSelect, Select } from '@mantine/core'
import { useEffect, useState } from 'react'
import type { DashboardVariable } from '../api/types'
import { Text } from '../components/text'
import type { Range } from '../lib/range'
import { useLabelValues } from '../promql/queries'
import { allValues, filtered, interpolated, type Scope } from './variables'

interface Props {
  variable: DashboardVariable
  values: readonly string[]
  /** Of the variables before it. */
  scope: Scope
  range: Range
  onChange: (values: string[]) => void
  /** Called with the values that can be chosen. */
  onOffered: (values: string[]) => void
}

/** The choice of a variable's values. */
export function Chooser({ variable: v, values, scope, range, onChange, onOffered }: Props) {
  const asked = useLabelValues(v.label ?? '', interpolated(v.selector ?? '', scope), range, v.type === 'label' && (v.label ?? '') !== '')
  const offered = v.type === 'label' ? filtered(asked.data ?? [], v.regex) : (v.values ?? [])
  const key = asked.data === undefined && v.type === 'label' ? undefined : offered.join('\n')
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the values
  useEffect(() => {
    if (key !== undefined) onOffered(offered)
  }, [key])
  const label = v.title || v.name
  if (v.type === 'text') return <FreeText label={label} value={values[0] ?? ''} onChange={(text) => onChange(text === '' ? [] : [text])} />
  const data = [
    ...(v.all ? [{ value: allValues, label: 'All' }] : []),
    ...[...new Set([...offered, ...values.filter((x) => x !== allValues)])].map((x) => ({ value: x, label: x })),
  ]
  const error = asked.error ? asked.error.message : undefined
  if (v.multi)
    return (
      <MultiSelect
        className="field"
        label={label}
        data={data}
        value={[...values]}
        searchable
        limit={200}
        error={error}
        onChange={(to) => onChange(to.at(-1) === allValues ? [allValues] : to.filter((x) => x !== allValues))}
      />
    )
  return (
    <Select
      className="field"
      label={label}
      data={data}
      value={values[0] ?? null}
      searchable
      limit={200}
      allowDeselect={false}
      error={error}
      onChange={(to) => to !== null && onChange([to])}
    />
  )
}

function FreeText({ label, value, onChange }: { label: string; value: string; onChange: (v: string) => void }) {
  const [draft, setDraft] = useState(value)
  useEffect(() => setDraft(value), [value])
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault()
        onChange(draft)
      }}
    >
      <Text label={label} value={draft} onChange={setDraft} />
    </form>
  )
}
