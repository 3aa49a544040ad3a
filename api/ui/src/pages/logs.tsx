import { Button, SegmentedControl } from '@mantine/core'
import { useCallback, useMemo } from 'react'
import { Link } from 'wouter'
import { useLogs } from '../api/queries'
import { Ago, Chip, MetaWarnings, Problem, Section, Waiting } from '../components/bits'
import { Check, Choice, Field, SearchForm } from '../components/form'
import { More } from '../components/growing'
import { PageHeader } from '../components/page'
import { ConditionChips } from '../explore/chips'
import { type Condition, paramOf, parseConditions, textOf } from '../explore/conditions'
import type { Span } from '../lib/range'
import { tracePath, useHref, useParams, useRange } from '../lib/url'
import { useLive } from '../live/use-live'
import { withoutEscapes } from '../logs/ansi'
import { AddCondition } from '../logs/detail'
import { type LineFilter, levels, queryOf } from '../logs/filter'
import { keyLines } from '../logs/line'
import { LogLines } from '../logs/lines'
import { Patterns } from '../logs/patterns'
import { Tailing } from '../logs/tailing'
import { Volume } from '../logs/volume'
import { SavedViews } from '../saved/menu'

const names = ['service', 'severity', 'text', 'attrs', 'pattern', 'trace', 'tail', 'view', 'wrap'] as const

export default function LogsPage() {
  const [range] = useRange()
  const [v, set] = useParams(names)
  const span = useMemo<Span>(() => ({ range }), [range])
  const services = useLive('services', { range }).data?.services
  const form = useMemo(
    () => ({ service: v.service, severity: v.severity, text: v.text, attrs: v.attrs }),
    [v.service, v.severity, v.text, v.attrs],
  )
  const conditions = useMemo(() => parseConditions(v.attrs), [v.attrs])
  const fine = conditions.problem === undefined
  const filter = useMemo<LineFilter>(
    () => ({ ...form, pattern: v.pattern, trace_id: v.trace, conditions: conditions.list }),
    [form, v.pattern, v.trace, conditions],
  )
  const add = useCallback(
    (c: Condition) => {
      const others = conditions.list.filter((o) => paramOf(o) !== paramOf(c))
      set({ attrs: textOf([...others, c]) })
    },
    [conditions, set],
  )
  const choose = useCallback((pattern: string) => set({ pattern, view: '' }), [set])
  const patterns = v.view === 'patterns'
  const tail = v.tail === '1' && !patterns
  const wrap = v.wrap === '1'
  return (
    <AddCondition value={add}>
      <PageHeader title="Logs" sentence="Log records as lines, or grouped into patterns." actions={<SavedViews page="logs" />} />
      <SearchForm label="Search logs" values={form} onSubmit={set}>
        <Field label="Service" name="service" value={v.service} options={services?.map((s) => s.name) ?? []} />
        <Choice
          label="Severity"
          name="severity"
          value={v.severity}
          options={[['', 'any'], ...levels.map((l): [string, string] => [l, l === 'FATAL' ? l : `${l} and above`])]}
        />
        <Field label="Text" name="text" value={v.text} placeholder="giving up" wide filter />
        <Field label="Attributes" name="attrs" value={v.attrs} placeholder="http.status_code>=500 resource.host.name~^web" wide />
      </SearchForm>
      {!fine && <Problem error={conditions.problem ?? ''} />}
      {(v.pattern !== '' || v.trace !== '' || conditions.list.length > 0) && (
        <div className="tools chips">
          {v.pattern !== '' && (
            <Chip label="pattern" onClear={() => set({ pattern: '' })}>
              <code>{withoutEscapes(v.pattern)}</code>
            </Chip>
          )}
          {v.trace !== '' && <TraceChip id={v.trace} onClear={() => set({ trace: '' })} />}
          <ConditionChips conditions={conditions.list} onChange={(attrs) => set({ attrs })} />
        </div>
      )}
      <Volume filter={filter} span={span} enabled={fine} />
      <div className="tools tabs">
        <SegmentedControl
          aria-label="Show"
          value={patterns ? 'patterns' : ''}
          onChange={(view) => set({ view })}
          data={[
            { value: '', label: 'Lines' },
            { value: 'patterns', label: 'Patterns' },
          ]}
        />
        {!patterns && <Check label="live tail" checked={tail} onChange={(on) => set({ tail: on ? '1' : '' })} />}
        {!patterns && <Check label="wrap lines" checked={wrap} onChange={(on) => set({ wrap: on ? '1' : '' })} />}
      </div>
      {patterns ? (
        <Patterns service={v.service} span={span} onChoose={choose} />
      ) : tail && fine ? (
        <Tailing filter={filter} wrap={wrap} />
      ) : (
        <Lines filter={filter} span={span} wrap={wrap} enabled={fine} />
      )}
    </AddCondition>
  )
}

function TraceChip({ id, onClear }: { id: string; onClear: () => void }) {
  const href = useHref()
  return (
    <Chip label="trace" onClear={onClear}>
      <Link href={href(tracePath(id))}>
        <code>{id}</code>
      </Link>
    </Chip>
  )
}

function Lines({ filter, span, wrap, enabled }: { filter: LineFilter; span: Span; wrap: boolean; enabled: boolean }) {
  const query = useMemo(() => queryOf(filter), [filter])
  const logs = useLogs(query, span, enabled)
  const lines = useMemo(() => keyLines(logs.data?.pages.flatMap((p) => p.logs) ?? []), [logs.data])
  const last = logs.data?.pages.at(-1)
  return (
    <>
      <MetaWarnings meta={last?.meta} />
      <Section
        title="Lines"
        note={
          logs.data && (
            <>
              {lines.length}
              {logs.hasNextPage ? ' and more' : ''}, newest first, as of <Ago time={new Date(logs.dataUpdatedAt).toISOString()} />
            </>
          )
        }
        actions={logs.data && <Button onClick={() => void logs.refetch()}>Refresh</Button>}
      >
        {logs.error !== null && logs.data !== undefined && <Problem error={logs.error} />}
        {logs.data === undefined ? (
          enabled && <Waiting what="lines" error={logs.error} />
        ) : (
          <LogLines
            lines={lines}
            wrap={wrap}
            empty="No log lines match these filters in this time range. Use a longer range or fewer filters."
          />
        )}
        <More list={logs} />
      </Section>
    </>
  )
}
