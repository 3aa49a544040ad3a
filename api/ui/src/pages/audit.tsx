import { useMemo } from 'react'
import { useAudit } from '../api/queries'
import type { AuditEntry } from '../api/types'
import { Ago, Disclosure, Section, Waiting } from '../components/bits'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import { useParam } from '../lib/url'

const kinds: [string, string][] = [
  ['', 'all'],
  ['rule_group', 'rules'],
  ['rule_switch', 'rules of files, on and off'],
  ['slo', 'objectives'],
  ['user', 'users'],
  ['token', 'tokens'],
  ['silence', 'silences'],
  ['replay', 'replays'],
  ['receiver', 'tests of receivers'],
]

const kindWord = (kind: string): string => kind.replaceAll('_', ' ')

const columns: Column<AuditEntry>[] = [
  { id: 'time', label: 'When', className: 'c-ago', cell: (e) => <Ago time={e.time} /> },
  { id: 'by', label: 'Who', cell: (e) => e.by },
  { id: 'action', label: 'Did', cell: (e) => e.action },
  { id: 'kind', label: 'To', wide: true, cell: (e) => <span className="dim">{kindWord(e.kind)}</span> },
  {
    id: 'object',
    label: 'Object',
    className: 'c-name',
    cell: (e) =>
      e.before === undefined && e.after === undefined ? (
        <span className="name">{e.object}</span>
      ) : (
        <Disclosure summary={e.object}>
          {() => (
            <div className="detail">
              <Value title="Before" value={e.before} />
              <Value title="After" value={e.after} />
            </div>
          )}
        </Disclosure>
      ),
  },
]
const keyOf = (e: AuditEntry) => e.id

function Value({ title, value }: { title: string; value: unknown }) {
  if (value === undefined || value === null) return null
  return (
    <>
      <h3>{title}</h3>
      <pre>{JSON.stringify(value, null, 2)}</pre>
    </>
  )
}

/** Who changed what. */
export function Audit() {
  const reason = useDenied('admin')
  if (reason === undefined) return <Trail />
  return (
    <Section title="Audit" note="who changed what">
      <p className="said">{reason}</p>
    </Section>
  )
}

function Trail() {
  const [kind, setKind] = useParam('audit')
  const list = useAudit(kind)
  const rows = useMemo(() => list.data?.pages.flatMap((p) => p.audit), [list.data])
  return (
    <Section title="Audit" note={list.data ? `${list.data.pages[0]?.total ?? 0} changes, newest first` : 'who changed what'}>
      <div className="tools form">
        <label className="field">
          <span>Of</span>
          <select value={kind} onChange={(e) => setKind(e.target.value)}>
            {kinds.map(([k, text]) => (
              <option key={k} value={k}>
                {text}
              </option>
            ))}
          </select>
        </label>
      </div>
      {rows === undefined ? (
        <Waiting what="changes" error={list.error} />
      ) : (
        <>
          <Table label="Audit" rows={rows} columns={columns} rowKey={keyOf} sort="" empty="Nothing has been changed." />
          {list.hasNextPage && (
            <button type="button" className="more" disabled={list.isFetchingNextPage} onClick={() => list.fetchNextPage()}>
              Show more
            </button>
          )}
        </>
      )}
    </Section>
  )
}
