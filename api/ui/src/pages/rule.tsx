import { Button, SegmentedControl } from '@mantine/core'
import { lazy, Suspense, useCallback, useMemo, useState } from 'react'
import { Link, useLocation, useSearch } from 'wouter'
import { type Draft, draftOf, emptyDraft, type FieldName, fieldOf, inputOf, ruleOf } from '../alert/draft'
import { Fields } from '../alert/fields'
import { draftOfChart, isChartKind } from '../alert/from-chart'
import { Review } from '../alert/review'
import { templates } from '../alert/templates'
import { Workshop } from '../alert/workshop'
import type { ApiError } from '../api/client'
import { useRuleAction, useRules } from '../api/queries'
import type { Rule } from '../api/types'
import { Problem, Status, Waiting } from '../components/bits'
import { LinkButton } from '../components/button'
import { Check, Pick } from '../components/form'
import { PageHeader } from '../components/page'
import { Sure } from '../components/sure'
import { useDenied } from '../identity/may'
import { stubborn } from '../lib/lazy'
import { useHref, useParam } from '../lib/url'

// The YAML library is loaded with it only.
const YamlView = lazy(() => stubborn(() => import('../alert/yaml-view')))

/** /alerts/new makes a rule, /alerts/rules/ID looks at one and changes it. */
export default function RulePage() {
  const [path] = useLocation()
  const query = new URLSearchParams(useSearch())
  const id = /^\/alerts\/rules\/(.+)$/.exec(path)?.[1]
  const from = id ?? query.get('copy')
  const rules = useRules()
  if (from === null) return <Editor key={newKeys.map((k) => query.get(k)).join('\n')} initial={newDraft(query)} rule={undefined} />
  const rule = rules.data?.rules.find((r) => r.id === decodeURIComponent(from))
  if (rules.data === undefined) return <Waiting what="the rule" error={rules.error} />
  if (rule === undefined) return <Problem error="There is no such rule: it may have been deleted." />
  return id === undefined ? (
    <Editor key="copy" initial={{ ...draftOf(inputOf(rule)), name: `${rule.name}Copy`, group: '' }} rule={undefined} />
  ) : (
    <Editor key={id} initial={draftOf(inputOf(rule))} rule={rule} />
  )
}

/** The parameters that make a new rule; the others, as the time range, change while it is written. */
const newKeys = ['chart', 'service', 'op', 'threshold', 'expr']

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
  const [review, setReview] = useState(false)
  const [as, setAs] = useParam('as', 'form')
  const [template, setTemplate] = useState('')
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
  const done = { onSuccess: toList }
  const setExpr = useCallback((expr: string) => set({ expr }), [set])
  const setFor = useCallback((text: string) => set({ for: text }), [set])
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
      <div className="rule-columns">
        <form
          aria-label="Rule"
          className="rule-form"
          onSubmit={(e) => {
            e.preventDefault()
            if (rule === undefined) mutate({ do: 'create', rule: input }, done)
            else setReview(true)
          }}
        >
          <div className="tools rule-head">
            <SegmentedControl
              aria-label="Show the rule as"
              value={as}
              onChange={setAs}
              data={[
                { value: 'form', label: 'Form' },
                { value: 'yaml', label: 'YAML' },
              ]}
            />
            {rule === undefined && (
              <Pick
                label="Template"
                hidden
                value={template}
                options={[['', 'Start from a template'], ...templates.map((t) => [t.id, t.label] as const)]}
                onChange={(id) => {
                  setTemplate(id)
                  const chosen = templates.find((t) => t.id === id)
                  if (chosen) setDraft(chosen.draft())
                }}
              />
            )}
          </div>
          {as === 'yaml' ? (
            <Suspense fallback={<Waiting what="the YAML" />}>
              <YamlView draft={draft} onChange={setDraft} readOnly={fixed} />
              {error && <Problem error={error} />}
            </Suspense>
          ) : (
            <Fields draft={draft} set={set} setExpr={setExpr} wrongAt={wrongAt} fixed={fixed} />
          )}
          {as !== 'yaml' && action.error && wrong && wrong.field === undefined && <Problem error={action.error} />}
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
          <section className="workshop-side" aria-label="Graph and backtest">
            <Workshop
              rule={input}
              saved={stored}
              onExpr={fixed ? undefined : setExpr}
              onFor={fixed ? undefined : setFor}
              onError={setTrial}
            />
          </section>
        )}
      </div>
      {rule !== undefined && stored !== undefined && (
        <Review
          before={stored}
          after={input}
          opened={review}
          busy={isPending}
          onClose={() => setReview(false)}
          onSave={() => mutate({ do: 'update', id: rule.id, rule: input }, { ...done, onError: () => setReview(false) })}
        />
      )}
    </div>
  )
}
