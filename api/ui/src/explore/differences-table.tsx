import { useMemo } from 'react'
import type { SpanDifference } from '../api/types'
import { type Column, Table } from '../components/table'
import { percent } from '../lib/format'
import { valueText } from './differences'
import './differences.css'

interface Props {
  label: string
  list: readonly SpanDifference[]
  /** What the compared spans are called: "failed" or "slow". */
  selected: string
  /** Called with a condition that narrows a search to the spans with a value. */
  onFilter?: (condition: string) => void
}

function Share({ of, selected }: { of: number; selected: boolean }) {
  return (
    <span className="differ-share">
      <span className={selected ? 'differ-bar differ-selected' : 'differ-bar'} aria-hidden="true">
        <span style={{ width: `${Math.min(100, of * 100)}%` }} />
      </span>
      <span className="differ-number">{percent(of)}</span>
    </span>
  )
}

const valuesShown = 3

function columnsOf(selected: string, onFilter: Props['onFilter']): Column<SpanDifference>[] {
  const lines = (d: SpanDifference, cell: (v: SpanDifference['values'][number]) => React.ReactNode) => (
    <ul className="differ-values">
      {d.values.slice(0, valuesShown).map((v) => (
        <li key={v.is + v.value}>{cell(v)}</li>
      ))}
    </ul>
  )
  return [
    {
      id: 'key',
      label: 'Attribute',
      className: 'c-differ-key',
      cell: (d) => (
        <>
          <bdi>{d.key}</bdi>
          {d.scope === 'resource' && <span className="dim"> resource</span>}
          {d.outcome && <span className="dim"> describes the failure</span>}
        </>
      ),
    },
    {
      id: 'value',
      label: 'Value',
      className: 'c-differ-value',
      cell: (d) =>
        lines(d, (v) =>
          onFilter && v.condition !== '' ? (
            <button
              type="button"
              className="differ-filter"
              title={`Add ${v.condition} to the filters`}
              onClick={() => onFilter(v.condition)}
            >
              <bdi>{valueText(v)}</bdi>
            </button>
          ) : (
            <bdi>{valueText(v)}</bdi>
          ),
        ),
    },
    {
      id: 'selected',
      label: `Of ${selected} spans`,
      unit: '%',
      numeric: true,
      cell: (d) => lines(d, (v) => <Share of={v.selected_share} selected />),
    },
    {
      id: 'others',
      label: 'Of the others',
      unit: '%',
      numeric: true,
      cell: (d) => lines(d, (v) => <Share of={v.others_share} selected={false} />),
    },
  ]
}

const keyOf = (d: SpanDifference) => `${d.scope} ${d.key}`

/** Which attributes some spans have more or less often than the others, those that say the most first. */
export function Differences({ label, list, selected, onFilter }: Props) {
  const columns = useMemo(() => columnsOf(selected, onFilter), [selected, onFilter])
  return (
    <Table
      label={label}
      rows={list}
      columns={columns}
      rowKey={keyOf}
      sort=""
      param="differSort"
      empty={`No attribute distinguishes the ${selected} spans from the others beyond chance.`}
    />
  )
}
