import { useMemo } from 'react'
import { Labels, Problem, Status, Waiting } from '../components/bits'
import { Name } from '../components/name'
import { type Column, Table } from '../components/table'
import { none } from '../lib/format'
import type { Range } from '../lib/range'
import { NoSeries } from './empty'
import { boundWords, type Histogram, sampleOf } from './histogram'
import { useInstantQuery } from './queries'
import { commonOf, type Series, textOf, valueWords } from './series'

interface Props {
  expr: string
  range: Range
  label: string
  param: string
  onChange?: ((expr: string) => void) | undefined
  quiet?: boolean
}

/** The newest sample of a native histogram. */
const histogramAt = (s: Series) => sampleOf(s.histogram ?? s.histograms?.at(-1))

const histogramColumns: [string, (h: Histogram) => number][] = [
  ['Count', (h) => h.count],
  ['Sum', (h) => h.sum],
  ['Average', (h) => h.sum / h.count],
]

const numberOf = (s: Series): number => Number(s.value?.[1] ?? s.values?.at(-1)?.[1] ?? Number.NaN)

const valueColumn: Column<Series> = {
  id: 'value',
  label: 'Value',
  numeric: true,
  sort: (s) => numberOf(s) || 0,
  cell: (s) => {
    const text = s.value?.[1] ?? s.values?.at(-1)?.[1] ?? ''
    const v = Number(text)
    return <span title={text}>{Number.isFinite(v) ? valueWords(v) : text}</span>
  },
}

const missing: Histogram = { count: Number.NaN, sum: Number.NaN, buckets: [] }

const finite = (v: number): number => (Number.isFinite(v) ? v : Number.NEGATIVE_INFINITY)

/** The values of an expression at the end of the time range: a column for each label, and the value. */
export function InstantTable({ expr, range, label, param, onChange, quiet = false }: Props) {
  const { data, error } = useInstantQuery(expr, range)
  const common = useMemo(() => commonOf((data?.result ?? []).map((s) => s.metric)), [data])
  const columns = useMemo<Column<Series>[]>(() => {
    const native = (data?.result ?? []).some((s) => histogramAt(s) !== undefined)
    const plain = !native || (data?.result ?? []).some((s) => histogramAt(s) === undefined)
    const keys = [...new Set((data?.result ?? []).flatMap((s) => Object.keys(s.metric)))].sort()
    return [
      ...keys
        .filter((k) => !(k in common))
        .map(
          (k): Column<Series> => ({
            id: `l.${k}`,
            label: k === '__name__' ? 'metric' : k,
            sort: (s) => s.metric[k] ?? '',
            cell: (s) => <Name of={s.metric[k] ?? ''} />,
          }),
        ),
      ...(native
        ? histogramColumns.map(
            ([title, of]): Column<Series> => ({
              id: title.toLowerCase(),
              label: title,
              numeric: true,
              sort: (s) => finite(of(histogramAt(s) ?? missing)),
              cell: (s) => {
                const h = histogramAt(s)
                return h === undefined ? '' : <span title={String(of(h))}>{Number.isFinite(of(h)) ? boundWords(of(h)) : none}</span>
              },
            }),
          )
        : []),
      ...(plain ? [valueColumn] : []),
    ]
  }, [data, common])
  if (error) return quiet ? null : <Problem error={error} />
  if (data === undefined) return <Waiting what="the values" />
  if (data.result.length === 0) return <NoSeries expr={expr} onChange={onChange} />
  return (
    <>
      {data.notes.map((n) => (
        <p key={n} className="pq-empty">
          <Status health="pending" word={n} />
        </p>
      ))}
      {Object.keys(common).length > 0 && (
        <p className="pq-empty">
          <span className="dim">All with</span> <Labels labels={common} />
        </p>
      )}
      <div className="pq-values">
        <Table
          label={label}
          rows={data.result}
          columns={columns}
          rowKey={(s) => textOf(s.metric)}
          sort={columns.some((c) => c.id === 'value') ? '-value' : '-count'}
          param={param}
          empty=""
        />
      </div>
      <p className="dim pq-fold">
        {data.result.length === 1 ? '1 series' : `${data.result.length} series`}
        {data.type === 'matrix' && ', the newest sample of each'}
      </p>
    </>
  )
}
