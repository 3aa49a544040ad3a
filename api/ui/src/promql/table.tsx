import { useMemo } from 'react'
import { Labels, Problem, Status, Waiting } from '../components/bits'
import { Name } from '../components/name'
import { type Column, Table } from '../components/table'
import type { Range } from '../lib/range'
import { NoSeries } from './empty'
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

const numberOf = (s: Series): number => Number(s.value?.[1] ?? s.values?.at(-1)?.[1] ?? Number.NaN)

/** The values of an expression at the end of the time range: a column for each label, and the value. */
export function InstantTable({ expr, range, label, param, onChange, quiet = false }: Props) {
  const { data, error } = useInstantQuery(expr, range)
  const common = useMemo(() => commonOf((data?.result ?? []).map((s) => s.metric)), [data])
  const columns = useMemo<Column<Series>[]>(() => {
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
      {
        id: 'value',
        label: 'Value',
        numeric: true,
        sort: (s) => numberOf(s) || 0,
        cell: (s) => {
          if (s.histogram !== undefined) return <HistogramWords of={s.histogram} />
          const text = s.value?.[1] ?? s.values?.at(-1)?.[1] ?? ''
          const v = Number(text)
          return <span title={text}>{Number.isFinite(v) ? valueWords(v) : text}</span>
        },
      },
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
        <Table label={label} rows={data.result} columns={columns} rowKey={(s) => textOf(s.metric)} sort="-value" param={param} empty="" />
      </div>
      <p className="dim pq-fold">
        {data.result.length === 1 ? '1 series' : `${data.result.length} series`}
        {data.type === 'matrix' && ', the newest sample of each'}
      </p>
    </>
  )
}

function HistogramWords({ of }: { of: unknown }) {
  const [, h] = (Array.isArray(of) ? of : []) as [number, { count?: string; sum?: string }?]
  return (
    <>
      histogram, count {valueWords(Number(h?.count))}, sum {valueWords(Number(h?.sum))}
    </>
  )
}
