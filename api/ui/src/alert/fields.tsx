import { Text } from '../components/text'
import { PromQLField } from '../promql/editor'
import { type Draft, type FieldName, secondsOfDuration } from './draft'
import { Pairs } from './pairs'

function durationError(text: string): string | undefined {
  return secondsOfDuration(text) === undefined ? `"${text}" is no duration. Give one as 30s, 5m or 1d.` : undefined
}

interface Props {
  draft: Draft
  set: (change: Partial<Draft>) => void
  setExpr: (expr: string) => void
  wrongAt: (f: FieldName) => string | undefined
  fixed: boolean
}

/** The fields of a rule. */
export function Fields({ draft, set, setExpr, wrongAt, fixed }: Props) {
  return (
    <>
      <Text
        label="Name"
        value={draft.name}
        onChange={(name) => set({ name })}
        error={wrongAt('name')}
        readOnly={fixed}
        required
        placeholder="CheckoutManyErrors"
      />
      <PromQLField
        label="Condition"
        hint="PromQL; one alert for each resulting series"
        value={draft.expr}
        onChange={setExpr}
        error={wrongAt('expr')}
        readOnly={fixed}
      />
      <div className="row">
        <Text
          label="For"
          hint="how long the condition must hold before the alert fires"
          value={draft.for}
          onChange={(v) => set({ for: v })}
          error={wrongAt('for') ?? durationError(draft.for)}
          readOnly={fixed}
          placeholder="5m"
        />
        <Text
          label="Keep firing for"
          hint="how long the alert keeps firing after the condition ends"
          value={draft.keep}
          onChange={(keep) => set({ keep })}
          error={wrongAt('keep') ?? durationError(draft.keep)}
          readOnly={fixed}
          placeholder="5m"
        />
      </div>
      <Pairs title="Labels" of={draft.labels} onChange={(labels) => set({ labels })} error={wrongAt('labels')} readOnly={fixed} />
      <Pairs
        title="Annotations"
        of={draft.annotations}
        onChange={(annotations) => set({ annotations })}
        error={wrongAt('annotations')}
        readOnly={fixed}
        wide
      />
    </>
  )
}
