import { useAudit } from '../api/queries'
import type { AuditEntry, AuditList } from '../api/types'
import { Ago, Disclosure, Section } from '../components/bits'
import { Pick } from '../components/form'
import { Growing } from '../components/growing'
import type { Column } from '../components/table'
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
  ['backup', 'backups'],
  ['receiver', 'tests of receivers'],
  ['backtest', 'backtests over topics'],
  ['login', 'logins'],
  ['alert', 'alerts sent from outside'],
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
        <>
          <span className="name">{e.object}</span>
          <Often of={e} />
        </>
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
const entriesOf = (page: AuditList) => page.audit

/** Address and count, where there are any. */
function Often({ of: e }: { of: AuditEntry }) {
  return (
    <span className="dim">
      {e.address && `from ${e.address}`}
      {e.count !== undefined && e.count > 1 && e.last && (
        <>
          , {e.count} times, last <Ago time={e.last} />
        </>
      )}
    </span>
  )
}

function Value({ title, value }: { title: string; value: unknown }) {
  if (value === undefined || value === null) return null
  return (
    <>
      <h3>{title}</h3>
      <pre>{JSON.stringify(value, null, 2)}</pre>
    </>
  )
}

/** Who changed what, and who logged in. */
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
  return (
    <Section title="Audit" note="changes and logins, newest first">
      <div className="tools form">
        <Pick label="Of" value={kind} onChange={setKind} options={kinds} />
      </div>
      <Growing
        label="Audit"
        what="the audit trail"
        list={list}
        rowsOf={entriesOf}
        columns={columns}
        rowKey={keyOf}
        empty="No changes yet."
      />
    </Section>
  )
}
