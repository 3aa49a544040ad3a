import { Button } from '@mantine/core'
import { Plus } from 'lucide-react'
import type { DashboardVariable } from '../api/types'
import { Check, Pick } from '../components/form'
import { Text } from '../components/text'

interface Props {
  variables: readonly DashboardVariable[]
  most: number
  onChange: (v: DashboardVariable[]) => void
}

const types: [DashboardVariable['type'], string][] = [
  ['label', 'values of a label'],
  ['list', 'list'],
  ['text', 'text'],
]

/** The variables of a dashboard while it is edited. */
export function VariablesForm({ variables, most, onChange }: Props) {
  const set = (at: number, change: Partial<DashboardVariable>) => onChange(variables.map((v, i) => (i === at ? { ...v, ...change } : v)))
  return (
    <fieldset className="dash-vars">
      <legend>
        Variables <span className="dim">{`${variables.length} of ${most}`}</span>
      </legend>
      {variables.map((v, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the name changes while it is typed
        <div className="row" key={i}>
          <Text label="Name" value={v.name} onChange={(name) => set(i, { name })} placeholder="service" />
          <Pick label="Values" value={v.type} options={types} onChange={(type) => set(i, { type })} />
          {v.type === 'label' && (
            <>
              <Text label="Label" value={v.label ?? ''} onChange={(label) => set(i, { label })} placeholder="service_name" />
              <Text label="Series" value={v.selector ?? ''} onChange={(selector) => set(i, { selector })} placeholder="all series" />
            </>
          )}
          {v.type === 'list' && (
            <Text
              label="List"
              value={(v.values ?? []).join(', ')}
              onChange={(text) => set(i, { values: text.split(/,\s*/) })}
              placeholder="prod, test"
            />
          )}
          {v.type !== 'text' && (
            <>
              <Check label="Several" checked={v.multi ?? false} onChange={(multi) => set(i, { multi })} />
              <Check label="All" checked={v.all ?? false} onChange={(all) => set(i, { all })} />
            </>
          )}
          <Button aria-label={`Remove variable ${v.name || i + 1}`} onClick={() => onChange(variables.filter((_, j) => j !== i))}>
            Remove
          </Button>
        </div>
      ))}
      <Button
        leftSection={<Plus size={14} aria-hidden="true" />}
        disabled={variables.length >= most}
        onClick={() => onChange([...variables, { name: '', type: 'label', label: '' }])}
      >
        Add variable
      </Button>
    </fieldset>
  )
}
