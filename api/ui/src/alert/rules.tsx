import { Plus } from 'lucide-react'
import { useMemo } from 'react'
import { Link } from 'wouter'
import { type RuleAction, useRuleAction, useRules } from '../api/queries'
import type { Rule } from '../api/types'
import { Ago, Disclosure, Labels, Problem, Section, Status, Waiting } from '../components/bits'
import { LinkButton } from '../components/button'
import { Check } from '../components/form'
import { Sure } from '../components/sure'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import type { Health } from '../lib/health'
import { useHref, useParam } from '../lib/url'
import { inputOf, plainDuration } from './draft'

const ruleHealth = (r: Rule): Health => (r.state === 'firing' || r.state === 'pending' ? r.state : r.state === 'inactive' ? 'ok' : 'nodata')

const columns = (act: (a: RuleAction) => void, busy: boolean): Column<Rule>[] => [
  {
    id: 'state',
    label: 'State',
    className: 'c-status',
    sort: (r) => (r.enabled ? ['firing', 'pending', 'unknown', 'inactive'].indexOf(r.state) : 4),
    cell: (r) =>
      !r.enabled ? (
        <Status health="nodata" word="off" />
      ) : r.type === 'recording' ? (
        <span className="dim">recording</span>
      ) : (
        <Status health={ruleHealth(r)} word={r.state} />
      ),
  },
  {
    id: 'rule',
    label: 'Rule',
    className: 'c-name',
    sort: (r) => r.name,
    cell: (r) => (
      <Disclosure summary={<b>{r.name}</b>}>
        {() => (
          <div className="rule">
            <code>{r.expr}</code>
            {Object.keys(r.labels).length > 0 && <Labels labels={r.labels} />}
          </div>
        )}
      </Disclosure>
    ),
  },
  {
    id: 'health',
    label: 'Health',
    sort: (r) => r.health,
    cell: (r) =>
      r.health === 'err' ? (
        <span title={r.last_error}>
          <Status health="firing" word="error" /> <span className="dim">{r.last_error}</span>
        </span>
      ) : (
        <Status health={r.health === 'ok' ? 'ok' : 'nodata'} word={r.health} />
      ),
  },
  {
    id: 'for',
    label: 'For',
    numeric: true,
    wide: true,
    cell: (r) => <span className={r.for === '0s' ? 'dim' : undefined}>{plainDuration(r.for) || '0s'}</span>,
  },
  {
    id: 'told',
    label: 'Told',
    wide: true,
    title: 'head: evaluated at the newest data. complete: evaluated once all partitions have been read that far.',
    sort: (r) => r.frontier,
    cell: (r) => (
      <span title={r.frontier_reason}>
        {r.frontier === 'head' ? 'at once' : r.frontier === 'complete' ? 'when complete' : r.frontier}{' '}
        <span className="dim">{r.frontier}</span>
      </span>
    ),
  },
  { id: 'group', label: 'Group', wide: true, sort: (r) => `${r.source} ${r.group}`, cell: (r) => <span title={r.source}>{r.group}</span> },
  {
    id: 'eval',
    label: 'Evaluated',
    numeric: true,
    wide: true,
    className: 'c-ago',
    cell: (r) => (
      <span className="dim">
        <Ago time={r.last_eval} />
      </span>
    ),
  },
  {
    id: 'do',
    label: 'Change',
    className: 'c-do',
    cell: (r) => <Actions rule={r} act={act} busy={busy} />,
  },
]
const ruleKey = (r: Rule) => r.id

function Actions({ rule: r, act, busy }: { rule: Rule; act: (a: RuleAction) => void; busy: boolean }) {
  const href = useHref()
  const reason = useDenied('editor')
  const open = r.editable && reason === undefined ? 'Edit' : 'Open'
  return (
    <span className="actions">
      <Link className="button small" href={href(`/alerts/rules/${encodeURIComponent(r.id)}`)} aria-label={`${open} ${r.name}`}>
        {open}
      </Link>
      <button
        type="button"
        className="plain"
        aria-label={`Switch ${r.name} ${r.enabled ? 'off' : 'on'}`}
        disabled={busy || reason !== undefined}
        title={reason}
        onClick={() => act({ do: 'update', id: r.id, rule: { ...inputOf(r), enabled: !r.enabled } })}
      >
        {r.enabled ? 'Switch off' : 'Switch on'}
      </button>
      {r.editable && (
        <Sure word="Delete" sure="Really delete" disabled={busy} denied={reason} onSure={() => act({ do: 'delete', id: r.id })} />
      )}
    </span>
  )
}

/** Rules shows those that match, or of ids, where that names any, only these. */
export function Rules({ matches, ids }: { matches: (text: string) => boolean; ids: readonly string[] }) {
  const rules = useRules()
  const href = useHref()
  const { mutate, isPending, error } = useRuleAction()
  const cols = useMemo(() => columns(mutate, isPending), [mutate, isPending])
  const [recording, setRecording] = useParam('recording')
  const recorded = rules.data?.rules.filter((r) => r.type === 'recording').length ?? 0
  const shown = useMemo(
    () =>
      rules.data?.rules.filter(
        (r) =>
          (recording === '1' || r.type === 'alerting') &&
          (ids.length === 0 || ids.includes(r.id)) &&
          matches(`${r.name} ${r.expr} ${r.group}`),
      ),
    [rules.data, matches, recording, ids],
  )
  return (
    <Section
      title="Rules"
      note={shown && `${shown.length}`}
      actions={
        <LinkButton href={href('/alerts/new')} icon={Plus}>
          New rule
        </LinkButton>
      }
    >
      {recorded > 0 && (
        <div className="tools">
          <Check label={`${recorded} recording rules too`} checked={recording === '1'} onChange={(on) => setRecording(on ? '1' : '')} />
        </div>
      )}
      {error && <Problem error={error} />}
      {rules.error && rules.data && <Problem error={rules.error} />}
      {shown === undefined ? (
        <Waiting what="rules" error={rules.error} />
      ) : (
        <Table
          label="Rules"
          rows={shown}
          columns={cols}
          rowKey={ruleKey}
          sort="state"
          empty={rules.data?.rules.length === 0 ? 'There are no rules yet.' : 'No rule matches the filter.'}
        />
      )}
    </Section>
  )
}
