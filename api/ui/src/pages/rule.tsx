import { Button, Slider, TextInput } from '@mantine/core'
import { Plus, X } from 'lucide-react'
import { useCallback, useEffect, useMemo, useState } from 'react'
import { Link, useLocation } from 'wouter'
import { Backtest } from '../alert/backtest'
import {
  type Draft,
  draftOf,
  emptyDraft,
  type FieldName,
  fieldOf,
  inputOf,
  type Pair,
  pair,
  ruleOf,
  secondsOfDuration,
  thresholdOf,
  withThreshold,
} from '../alert/draft'
import { draftOfChart, isChartKind } from '../alert/from-chart'
import { sliderOf } from '../alert/strips'
import type { ApiError } from '../api/client'
import { useRuleAction, useRules } from '../api/queries'
import type { Rule } from '../api/types'
import { Problem, Section, Status, Waiting } from '../components/bits'
import { LinkButton } from '../components/button'
import { Check } from '../components/form'
import { PageHeader } from '../components/page'
import { Sure } from '../components/sure'
import { Text, Wrong } from '../components/text'
import { useDenied } from '../identity/may'
import { alertValue } from '../lib/format'
import { useHref } from '../lib/url'

/** /alerts/new makes a rule, /alerts/rules/ID looks at one and changes it. */
export default function RulePage() {
  const [path] = useLocation()
  const query = new URLSearchParams(window.location.search)
  const id = /^\/alerts\/rules\/(.+)$/.exec(path)?.[1]
  const from = id ?? query.get('copy')
  const rules = useRules()
  if (from === null) return <Editor key={window.location.search} initial={newDraft(query)} rule={undefined} />
  const rule = rules.data?.rules.find((r) => r.id === decodeURIComponent(from))
  if (rules.data === undefined) return <Waiting what="the rule" error={rules.error} />
  if (rule === undefined) return <Problem error="There is no such rule: it may have been deleted." />
  return id === undefined ? (
    <Editor key="copy" initial={{ ...draftOf(inputOf(rule)), name: `${rule.name}Copy`, group: '' }} rule={undefined} />
  ) : (
    <Editor key={id} initial={draftOf(inputOf(rule))} rule={rule} />
  )
}

/** A new rule as the link that led here wants it. */
function newDraft(query: URLSearchParams): Draft {
  const [kind, service, threshold] = [query.get('chart') ?? '', query.get('service') ?? '', Number(query.get('threshold'))]
  if (!isChartKind(kind) || service === '' || !Number.isFinite(threshold)) return { ...emptyDraft(), expr: query.get('expr') ?? '' }
  return draftOfChart(kind, service, query.get('op') ?? '', threshold)
}

function Editor({ initial, rule }: { initial: Draft; rule: Rule | undefined }) {
  const [draft, setDraft] = useState(initial)
  const href = useHref()
  const [, navigate] = useLocation()
  const action = useRuleAction()
  const { mutate, isPending } = action
  const [trial, setTrial] = useState<Error | null>(null)
  const reason = useDenied('editor')
  const fixed = rule !== undefined && (!rule.editable || reason !== undefined)
  const recording = rule?.type === 'recording'
  const set = useCallback((change: Partial<Draft>) => setDraft((d) => ({ ...d, ...change })), [])
  const input = useMemo(() => ruleOf(draft), [draft])
  const stored = rule && ruleOf(draftOf(inputOf(rule)))
  const changed = JSON.stringify(input) !== JSON.stringify(stored)
  const error = (action.error ?? trial) as ApiError | null
  const wrong = error === null ? undefined : fieldOf(error)
  const wrongAt = (f: FieldName) => (wrong?.field === f ? wrong.text : undefined)
  const toList = () => navigate(href('/alerts'))
  return (
    <div className="editor">
      <PageHeader
        crumb={<Link href={href('/alerts')}>Alerts</Link>}
        title={rule === undefined ? 'New rule' : <bdi>{rule.name}</bdi>}
        sentence="A condition over the data, and what is sent while it holds."
        beside={
          rule && (
            <>
              <Status
                health={rule.enabled ? (rule.state === 'firing' || rule.state === 'pending' ? rule.state : 'ok') : 'nodata'}
                word={rule.enabled ? rule.state : 'off'}
              />
              {rule.last_error && <Problem error={rule.last_error} />}
            </>
          )
        }
      />
      {reason !== undefined && <p className="said">What is written here can be tried over the past, not kept. {reason}</p>}
      {rule !== undefined && !rule.editable && (
        <p className="said">
          It comes from <code>{rule.source}</code>, group {rule.group}: change it there. Here it is switched on and off, and tried over the
          past. <Link href={href('/alerts/new', { copy: rule.id })}>Copy it into a new rule</Link>
        </p>
      )}
      <form
        aria-label="Rule"
        className="rule-form"
        onSubmit={(e) => {
          e.preventDefault()
          const done = { onSuccess: toList }
          if (rule === undefined) mutate({ do: 'create', rule: input }, done)
          else mutate({ do: 'update', id: rule.id, rule: input }, done)
        }}
      >
        <Text
          label="Name"
          value={draft.name}
          onChange={(name) => set({ name })}
          error={wrongAt('name')}
          readOnly={fixed}
          required
          placeholder="CheckoutManyErrors"
        />
        <Text
          label="Condition"
          hint="PromQL; one alert for each resulting series"
          value={draft.expr}
          onChange={(expr) => set({ expr })}
          error={wrongAt('expr')}
          readOnly={fixed}
          required
          area
        />
        <div className="row">
          <Text
            label="For"
            hint="how long the condition must hold before the alert fires"
            value={draft.for}
            onChange={(v) => set({ for: v })}
            error={wrongAt('for') ?? durationError(draft.for)}
            readOnly={fixed}
            placeholder="5m"
          />
          <Text
            label="Keep firing for"
            hint="how long the alert keeps firing after the condition ends"
            value={draft.keep}
            onChange={(keep) => set({ keep })}
            error={wrongAt('keep') ?? durationError(draft.keep)}
            readOnly={fixed}
            placeholder="5m"
          />
        </div>
        <Pairs title="Labels" of={draft.labels} onChange={(labels) => set({ labels })} error={wrongAt('labels')} readOnly={fixed} />
        <Pairs
          title="Annotations"
          of={draft.annotations}
          onChange={(annotations) => set({ annotations })}
          error={wrongAt('annotations')}
          readOnly={fixed}
          wide
        />
        {action.error && wrong && wrong.field === undefined && <Problem error={action.error} />}
        <div className="tools">
          <Check
            label="Enabled"
            checked={draft.enabled}
            disabled={reason !== undefined}
            onChange={(enabled) => {
              set({ enabled })
              if (fixed) mutate({ do: 'update', id: rule.id, rule: { ...inputOf(rule), enabled } })
            }}
          />
          {!fixed && (
            <Button
              type="submit"
              variant="filled"
              disabled={isPending || (rule !== undefined && !changed) || recording || reason !== undefined}
              title={reason}
            >
              {rule === undefined ? 'Create rule' : 'Save'}
            </Button>
          )}
          <LinkButton href={href('/alerts')}>{rule === undefined || changed ? 'Discard' : 'Back'}</LinkButton>
          {rule?.editable && (
            <Sure
              word="Delete"
              sure="Really delete"
              disabled={isPending}
              denied={reason}
              onSure={() => mutate({ do: 'delete', id: rule.id }, { onSuccess: toList })}
            />
          )}
        </div>
      </form>
      {!recording && (
        <Section title="Backtest" note="what the rule would have done in the past">
          <Backtest
            rule={input}
            saved={stored}
            onThreshold={fixed ? undefined : (t) => setDraft((d) => ({ ...d, expr: withThreshold(d.expr, t) }))}
            onFor={fixed ? undefined : (text) => set({ for: text })}
            onError={setTrial}
          >
            {!fixed && <Sliders draft={draft} set={set} />}
          </Backtest>
        </Section>
      )}
    </div>
  )
}

function durationError(text: string): string | undefined {
  return secondsOfDuration(text) === undefined ? `"${text}" is no duration. Give one as 30s, 5m or 1d.` : undefined
}

const holds = [0, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600]
const holdTexts = ['', '10s', '15s', '30s', '1m', '2m', '3m', '5m', '10m', '15m', '30m', '1h']

/** Threshold and `for` as sliders: what they say is written into the fields, and the backtest follows. */
function Sliders({ draft, set }: { draft: Draft; set: (change: Partial<Draft>) => void }) {
  const threshold = thresholdOf(draft.expr)
  // The bounds follow what was typed, not what the slider itself writes.
  const [bounds, setBounds] = useState(() => sliderOf(threshold ?? 1))
  const outside =
    threshold !== undefined && (threshold < bounds.min || threshold > bounds.max || bounds.max > 40 * (Math.abs(threshold) || bounds.max))
  useEffect(() => {
    if (outside && threshold !== undefined) setBounds(sliderOf(threshold))
  }, [outside, threshold])
  const hold = secondsOfDuration(draft.for) ?? 0
  const at = holds.findLastIndex((h) => h <= hold)
  return (
    <div className="sliders">
      {threshold === undefined ? (
        <p className="dim">The condition does not end with a comparison with a number: no threshold to try.</p>
      ) : (
        <div className="slider">
          <span>
            Threshold <b>{alertValue(threshold)}</b>
          </span>
          <Slider
            thumbLabel="Threshold, slider"
            label={null}
            size="sm"
            {...bounds}
            value={threshold}
            onChange={(v) => set({ expr: withThreshold(draft.expr, v) })}
          />
        </div>
      )}
      <div className="slider">
        <span>
          For <b>{draft.for || '0s'}</b>
        </span>
        <Slider
          thumbLabel="For, slider"
          label={null}
          size="sm"
          min={0}
          max={holds.length - 1}
          step={1}
          value={at}
          onChange={(v) => set({ for: holdTexts[v] ?? '' })}
        />
      </div>
    </div>
  )
}

interface PairsProps {
  title: string
  of: Pair[]
  onChange: (pairs: Pair[]) => void
  error: string | undefined
  readOnly: boolean
  wide?: boolean
}

function Pairs({ title, of, onChange, error, readOnly, wide = false }: PairsProps) {
  const put = (id: number, change: Partial<Pair>) => onChange(of.map((p) => (p.id === id ? { ...p, ...change } : p)))
  const one = title.toLowerCase().replace(/s$/, '')
  return (
    <fieldset className={wide ? 'pair-fields pair-wide' : 'pair-fields'}>
      <legend>{title}</legend>
      {of.map((p, i) => (
        <div key={p.id} className="pair">
          <TextInput
            aria-label={`Name of ${one} ${i + 1}`}
            value={p.key}
            readOnly={readOnly}
            placeholder="name"
            spellCheck={false}
            onChange={(e) => put(p.id, { key: e.currentTarget.value })}
          />
          <TextInput
            aria-label={`Value of ${p.key || `${one} ${i + 1}`}`}
            value={p.value}
            readOnly={readOnly}
            placeholder="value"
            onChange={(e) => put(p.id, { value: e.currentTarget.value })}
          />
          {!readOnly && (
            <Button aria-label={`Remove ${p.key || `${one} ${i + 1}`}`} onClick={() => onChange(of.filter((x) => x.id !== p.id))}>
              <X size={14} aria-hidden="true" />
            </Button>
          )}
        </div>
      ))}
      {!readOnly && (
        <Button leftSection={<Plus size={14} aria-hidden="true" />} onClick={() => onChange([...of, pair()])}>
          Add {one}
        </Button>
      )}
      <Wrong text={error} />
    </fieldset>
  )
}
