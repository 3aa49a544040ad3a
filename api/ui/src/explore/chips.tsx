import { Chip } from '../components/bits'
import { type Condition, paramOf, textOf } from './conditions'

/** Conditions on attributes, each to be taken away; what is left is given as text. */
export function ConditionChips({ conditions, onChange }: { conditions: readonly Condition[]; onChange: (attrs: string) => void }) {
  return conditions.map((c) => (
    <Chip key={paramOf(c)} label={c.key} onClear={() => onChange(textOf(conditions.filter((o) => o !== c)))}>
      <bdi>{c.op === '' ? 'exists' : `${c.op} ${c.value}`}</bdi>
    </Chip>
  ))
}
