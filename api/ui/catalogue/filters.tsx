import { FilterBox } from '../src/components/filter'
import { ConditionChips } from '../src/explore/chips'
import type { Condition } from '../src/explore/conditions'
import { FilterBar } from '../src/explore/filter-bar'
import type { Suggestions } from '../src/explore/offers'
import '../src/explore/explore.css'

const nothing = () => {}
const suggestions: Suggestions = { keys: [], values: [], services: ['payment'], operations: [], loading: false }
const tokens: Condition[] = [
  { key: 'service', op: '=', value: 'payment' },
  { key: 'status', op: '=', value: 'failed' },
  { key: 'duration', op: '>=', value: '150ms' },
  { key: 'http.route', op: '~', value: '/product/.*' },
  { key: 'app.promotion', op: '', value: '' },
  { key: 'app.note', op: '=', value: '' },
]

export function Filters() {
  return (
    <>
      <FilterBar tokens={[]} problem={undefined} onChange={nothing} suggestions={suggestions} onKey={nothing} />
      <FilterBar tokens={tokens} problem={undefined} onChange={nothing} suggestions={suggestions} onKey={nothing} />
      <FilterBar
        tokens={tokens.slice(0, 1)}
        problem={'"= 3" is not a condition: write key=value.'}
        onChange={nothing}
        suggestions={suggestions}
        onKey={nothing}
      />
      <div className="tools">
        <FilterBox value="" onChange={nothing} label="Filter services" />
        <FilterBox value="pay" onChange={nothing} label="Filter edges" />
        <ConditionChips conditions={tokens.slice(2)} onChange={nothing} />
      </div>
    </>
  )
}
