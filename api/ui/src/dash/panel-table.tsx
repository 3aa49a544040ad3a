import { useMemo } from 'react'
import type { DashboardPanel } from '../api/types'
import { Problem, Waiting } from '../components/bits'
import { Name } from '../components/name'
import { type Column, Table } from '../components/table'
import type { Range } from '../lib/range'
import { sampleOf } from '../promql/histogram'
import { useInstantQueries } from '../promql/queries'
import { commonOf, type Series, textOf } from '../promql/series'
import { wordsOf } from './units'
import type { Scope } from './variables'
import { titleWith } from './variables'

interface Row {
  key: string
  metric: Record<string, string>
  values: number[]
}

/** Series with the same labels are one row, with a value for each query. */
export function rowsOf(answers: readonly (readonly Series[] | undefined)[]): Row[] {
  const by = new Map<string, Row>()
  for (const [i, result] of answers.entries()) {
    for (const s of result ?? []) {
      const { __name__: _, ...metric } = s.metric
      const key = textOf(metric)
      const row = by.get(key) ?? { key, metric, values: answers.map(() => Number.NaN) }
      const h = sampleOf(s.histogram ?? s.histograms?.at(-1))
      row.values[i] = h?.count ?? Number(s.value?.[1] ?? s.values?.at(-1)?.[1])
      by.set(key, row)
    }
  }
  return [...by.values()]
}

interface Props {
  panel: DashboardPanel
  exprs: readonly string[]
  scope: Scope
  range: Range
  enabled: boolean
  label: string
}

/** The values of queries at the end of the time range. */
export function PanelTable({ panel, exprs, scope, range, enabled, label }: Props) {
  const answers = useInstantQueries(exprs, range, enabled)
  const failed = answers.findIndex((a) => a.error !== null)
  const key = answers.map((a) => a.dataUpdatedAt).join()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the times of the answers stand for them
  const rows = useMemo(() => rowsOf(answers.map((a) => a.data?.result)), [key])
  const columns = useMemo<Column<Row>[]>(() => {
    const common = rows.length > 1 ? commonOf(rows.map((r) => r.metric)) : {}
    const labels = [...new Set(rows.flatMap((r) => Object.keys(r.metric)))].filter((l) => !(l in common)).sort()
    const words = wordsOf(panel.unit)
    return [
      ...labels.map(
        (l): Column<Row> => ({ id: l, label: l, sort: (r) => r.metric[l] ?? '', cell: (r) => <Name of={r.metric[l] ?? ''} /> }),
      ),
      ...(panel.queries ?? []).map(
        (q, i): Column<Row> => ({
          id: `value ${i}`,
          label:
            titleWith(q.legend ?? '', scope)
              .replace(/\{\{.*?\}\}/g, '')
              .trim() || ((panel.queries?.length ?? 0) > 1 ? `Value ${i + 1}` : 'Value'),
          numeric: true,
          sort: (r) => (Number.isNaN(r.values[i]) ? Number.NEGATIVE_INFINITY : (r.values[i] as number)),
          cell: (r) => (Number.isFinite(r.values[i]) ? words(r.values[i] as number) : '–'),
        }),
      ),
    ]
  }, [rows, panel, scope])
  const error = answers[failed]?.error
  if (answers.every((a) => a.data === undefined))
    return error ? <Problem error={exprs.length > 1 ? `Query ${failed + 1}: ${error.message}` : error} /> : <Waiting what="values" />
  return (
    <>
      {error && <Problem error={`Query ${failed + 1}: ${error.message}`} />}
      <div className="dash-table">
        <Table
          label={label}
          rows={rows}
          columns={columns}
          rowKey={(r) => r.key}
          sort="-value 0"
          param={`sort ${label}`}
          empty="No data in this time range."
        />
      </div>
    </>
  )
}
