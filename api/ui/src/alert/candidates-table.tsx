import type { Candidate, Why } from '../api/types'
import { ServiceLink } from '../components/bits'
import { type Column, Table } from '../components/table'
import { percent } from '../lib/format'
import { confidenceText, termText } from './candidates'

const columns: Column<Candidate>[] = [
  {
    id: 'name',
    label: 'Candidate',
    className: 'c-call',
    cell: (c) =>
      c.connection_type === '' ? (
        <ServiceLink name={c.name} />
      ) : (
        <bdi className="name">
          {c.name} <span className="dim">{c.connection_type === 'virtual_node' ? 'not instrumented' : c.connection_type}</span>
        </bdi>
      ),
  },
  {
    id: 'score',
    label: 'Score',
    unit: '%',
    title: 'How much speaks for it, by all signals. The scores of different candidates do not add up to 100 %.',
    numeric: true,
    cell: (c) => (
      <span className="share">
        <span className="share-bar" aria-hidden="true">
          <span style={{ width: `${Math.min(100, Math.max(0, c.score * 100))}%` }} />
        </span>
        {percent(c.score)}
      </span>
    ),
  },
  {
    id: 'terms',
    label: 'What changed there',
    cell: (c) => (
      <ul className="terms">
        {c.terms.map((t) => (
          <li key={t.signal + t.subject} title={t.subject}>
            {termText(t)}
          </li>
        ))}
      </ul>
    ),
  },
]
const keyOf = (c: Candidate) => JSON.stringify([c.name, c.connection_type])

/** What may be at fault, by all signals. Nothing where evidence is older than candidates are. */
export function Candidates({ why, label }: { why: Why; label: string }) {
  const list = why.candidates ?? []
  if (list.length === 0) return null
  return (
    <>
      <h3>
        What may be at fault <span className="dim">– {confidenceText(why)}</span>
      </h3>
      <Table label={label} rows={list} columns={columns} rowKey={keyOf} sort="" empty="" />
    </>
  )
}
