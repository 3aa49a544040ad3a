import { Button } from '@mantine/core'
import { type ReactNode, useDeferredValue, useEffect, useMemo, useState } from 'react'
import { useBacktest } from '../api/queries'
import type { BacktestAnswer, BacktestRequest, BacktestSeries, BacktestSummary, BacktestVariant, RuleInput } from '../api/types'
import { Labels, MetaWarnings, Status, Waiting } from '../components/bits'
import { type Column, Table } from '../components/table'
import { absolute, alertValue, duration, moment, none } from '../lib/format'
import { thresholdOf } from '../promql/threshold'
import { promDuration, secondsOfDuration } from './draft'
import { byTrouble, holdsAround, stretchesOf, stripWords, thresholdsAround, ticksOf, wouldWords } from './strips'
import { OverTopics } from './topics'
import './rule.css'

/** So many label sets are drawn at first, and so many at most. */
const folded = 8
const strips = 200

function Strip({ series, start, end, known }: { series: BacktestSeries; start: number; end: number; known: number }) {
  const stretches = useMemo(() => stretchesOf(series.transitions, start, end), [series, start, end])
  return (
    <svg className="bt-strip" role="img" aria-label={stripWords(stretches, moment)} preserveAspectRatio="none" viewBox="0 0 1000 16">
      {known > 0 && <rect className="bt-unknown" x="0" y="0" width={known * 1000} height="16" />}
      {stretches.map((s) => (
        <rect
          key={`${s.state}${s.begin}`}
          className={`bt-${s.state}`}
          x={s.from * 1000}
          width={Math.max(1.5, (s.to - s.from) * 1000)}
          y={s.state === 'firing' ? 0 : 10}
          height={s.state === 'firing' ? 16 : 6}
        >
          <title>{`${s.state} ${duration(s.end - s.begin)}: ${moment(s.begin)} to ${moment(s.end)}`}</title>
        </rect>
      ))}
    </svg>
  )
}

function Told({ answer, start, end }: { answer: BacktestAnswer; start: number; end: number }) {
  return (
    <svg
      className="bt-strip bt-told"
      role="img"
      aria-label={`${answer.notifications.length} notifications`}
      preserveAspectRatio="none"
      viewBox="0 0 1000 16"
    >
      {answer.notifications.map((n) => (
        <rect
          key={n.time + n.receiver + n.integration + n.reason}
          x={((Date.parse(n.time) - start) / Math.max(1, end - start)) * 1000 - 1}
          y="4"
          width="2"
          height="8"
        >
          <title>{`${n.receiver} ${n.integration}: ${n.reason}, ${n.firing.length} firing, ${n.resolved.length} resolved, ${moment(Date.parse(n.time))}`}</title>
        </rect>
      ))}
    </svg>
  )
}

/** A strip for each label set, over one axis of time. */
function Strips({ answer, span: [start, end] }: { answer: BacktestAnswer; span: [number, number] }) {
  const [whole, setWhole] = useState(false)
  const series = useMemo(() => [...answer.series].sort(byTrouble), [answer.series])
  const since = answer.meta.since ? Date.parse(answer.meta.since) : start
  const known = Math.min(1, Math.max(0, (since - start) / Math.max(1, end - start)))
  return (
    <div className="bt">
      <ul className="bt-rows" aria-label="Alerts in the backtest">
        {series.slice(0, whole ? strips : folded).map((s) => (
          <li key={JSON.stringify([s.rule_id, s.labels])}>
            <span className="bt-labels">
              <Labels labels={s.labels} without={['alertname']} />
              <span className="dim">
                {s.summary.fired}× {duration(s.summary.firing_s * 1000)}
              </span>
            </span>
            <Strip series={s} start={start} end={end} known={known} />
          </li>
        ))}
        {series.length > 0 && (
          <li>
            <span className="bt-labels dim">notifications</span>
            <Told answer={answer} start={start} end={end} />
          </li>
        )}
      </ul>
      <div className="bt-axis" aria-hidden="true">
        <span className="bt-labels">
          <svg width="14" height="10" viewBox="0 0 14 10" aria-hidden="true">
            <rect className="bt-firing" width="14" height="10" />
          </svg>{' '}
          firing{' '}
          <svg width="14" height="10" viewBox="0 0 14 10" aria-hidden="true">
            <rect className="bt-pending" y="6" width="14" height="4" />
          </svg>{' '}
          pending
          {known > 0.02 && (
            <>
              {' '}
              <svg width="14" height="10" viewBox="0 0 14 10" aria-hidden="true">
                <rect className="bt-unknown" width="14" height="10" />
              </svg>{' '}
              no data
            </>
          )}
        </span>
        <span className="bt-ticks">
          {ticksOf(start, end).map((t) => (
            <span key={t.at}>{t.label}</span>
          ))}
        </span>
      </div>
      {series.length > folded && (
        <p className="pq-fold">
          <span className="dim">
            {Math.min(series.length, whole ? strips : folded)} of {series.length} label sets, those that fire longest.
          </span>
          <Button onClick={() => setWhole(!whole)}>{whole ? `Show ${folded}` : `Show ${Math.min(strips, series.length)}`}</Button>
        </p>
      )}
      {known > 0.02 && <p className="dim">No data before {absolute(answer.meta.since as string)}.</p>}
    </div>
  )
}

interface Trial {
  key: string
  what: ReactNode
  summary: BacktestSummary
  notifications: number
  use?: () => void
  now?: boolean
}

const trialColumns: Column<Trial>[] = [
  { id: 'what', label: 'With', className: 'c-with', cell: (t) => (t.now ? <b>{t.what}</b> : t.what) },
  { id: 'fired', label: 'Fired', numeric: true, cell: (t) => t.summary.fired },
  {
    id: 'total',
    label: 'In total',
    numeric: true,
    cell: (t) => (t.summary.firing_s === 0 ? none : duration(t.summary.firing_s * 1000)),
  },
  {
    id: 'longest',
    label: 'Longest',
    numeric: true,
    wide: true,
    cell: (t) => (t.summary.longest_s === 0 ? none : duration(t.summary.longest_s * 1000)),
  },
  { id: 'flaps', label: 'Flaps', numeric: true, wide: true, cell: (t) => t.summary.flaps },
  { id: 'notifications', label: 'Notified', numeric: true, cell: (t) => t.notifications },
  {
    id: 'use',
    label: 'Use',
    cell: (t) =>
      t.use ? (
        <button type="button" className="plain" onClick={t.use}>
          Use
        </button>
      ) : (
        <span className="dim">{t.now ? 'this' : ''}</span>
      ),
  },
]
/** Where nothing can be changed. */
const fixedColumns = trialColumns.filter((c) => c.id !== 'use')
const trialKey = (t: Trial) => t.key

/** The value once it has not changed for a while: a slider that is drawn asks once. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const t = setTimeout(() => setSettled(value), ms)
    return () => clearTimeout(t)
  }, [value, ms])
  return settled
}

function variantsOf(rule: RuleInput): BacktestVariant[] {
  const threshold = thresholdOf(rule.expr)
  return [
    ...(threshold === undefined ? [] : thresholdsAround(threshold).map((t) => ({ threshold: t }))),
    ...holdsAround(secondsOfDuration(rule.for ?? '') ?? 0).map((s) => ({ for: `${s}s` })),
  ]
}

interface Props {
  rule: RuleInput
  /** From when to when, in Unix seconds. */
  start: number
  end: number
  /** The same in words, within a sentence. */
  words: string
  /** Names a metric of the condition that does not exist. */
  missing: string | undefined
  /** What is compared with the threshold has no series in this time. */
  empty: boolean
  /** As it is stored, to compare with. */
  saved?: RuleInput | undefined
  /** Absent: nothing can be changed. */
  onThreshold?: ((threshold: number) => void) | undefined
  onFor?: ((text: string) => void) | undefined
  children?: ReactNode
  onError: (error: Error | null) => void
}

/** What a rule would have done, anew with each change of it. */
export function Backtest({ rule, start, end, words, missing, empty, saved, onThreshold, onFor, children, onError }: Props) {
  const rules = useSettled(JSON.stringify(tried(rule)), 350)
  const request = useMemo<BacktestRequest | undefined>(() => {
    const r = JSON.parse(rules) as RuleInput
    if (r.expr === '' || secondsOfDuration(r.for ?? '') === undefined || secondsOfDuration(r.keep_firing_for ?? '') === undefined)
      return undefined
    return { rule: r, start: String(start), end: String(end), variants: variantsOf(r) }
  }, [rules, start, end])
  const result = useBacktest(request)
  const before = saved && JSON.stringify(tried(saved))
  const compared = useBacktest(
    before !== undefined && before !== rules && request ? { ...request, rule: JSON.parse(before) as RuleInput, variants: [] } : undefined,
  )
  const error = result.error
  useEffect(() => onError(error), [error, onError])
  const [records, setRecords] = useState<BacktestAnswer>()
  const answer = useDeferredValue(error ? undefined : (records ?? result.data))
  const trials = useMemo(() => {
    if (answer === undefined || request?.rule === undefined) return []
    const r = request.rule
    const out: Trial[] = [
      { key: 'now', what: 'current edit', summary: answer.summary, notifications: answer.notifications.length, now: true },
    ]
    if (compared.data && before !== rules)
      out.push({ key: 'saved', what: 'saved version', summary: compared.data.summary, notifications: compared.data.notifications.length })
    for (const v of answer.variants) {
      const { threshold, for: hold } = v
      if (threshold !== null)
        out.push({
          key: `t${threshold}`,
          what: `threshold ${alertValue(threshold)}`,
          summary: v.summary,
          notifications: v.notifications,
          ...(onThreshold ? { use: () => onThreshold(threshold) } : {}),
        })
      else if (hold !== null) {
        const text = promDuration(secondsOfDuration(hold) ?? 0)
        out.push({
          key: `f${text}`,
          what: text === '0s' ? 'no for' : `for ${text}`,
          summary: v.summary,
          notifications: v.notifications,
          ...(onFor ? { use: () => onFor(text === '0s' ? '' : text) } : {}),
        })
      }
    }
    return r.expr === '' ? [] : out
  }, [answer, compared.data, before, rules, request, onThreshold, onFor])
  return (
    <>
      {children}
      {request === undefined ? (
        <p className="quiet dim">Enter a condition to see what the rule would have done.</p>
      ) : error ? (
        <p className="quiet dim">The rule could not be evaluated. See the error next to the condition.</p>
      ) : answer === undefined ? (
        <Waiting what="the backtest" />
      ) : (
        <div aria-busy={result.isPlaceholderData}>
          <p className="bt-words" role="status">
            {missing !== undefined && answer.series.length === 0 ? (
              <Status health="pending" word={`0 series: no metric of the name ${missing}. The rule has nothing to evaluate.`} />
            ) : empty && answer.series.length === 0 ? (
              <Status health="nodata" word={`${words} there were 0 series to compare: the rule had nothing to evaluate.`} />
            ) : (
              <Status
                health={answer.summary.firing_s > 0 ? 'firing' : answer.summary.pending_s > 0 ? 'pending' : 'ok'}
                word={`${words} it ${wouldWords(answer.summary, answer.notifications.length)}.`}
              />
            )}
            <span className="dim" aria-live="polite">
              {' '}
              {result.isFetching ? 'Evaluating …' : `${answer.evaluations} evaluations, ${duration(answer.step_s * 1000)} apart.`}
            </span>
          </p>
          <MetaWarnings meta={answer.meta} />
          <Strips answer={answer} span={[start * 1000, end * 1000]} />
          {request && <OverTopics request={request} onAnswer={setRecords} />}
          <h3>Other thresholds</h3>
          <Table label="Variants" rows={trials} columns={onThreshold ? trialColumns : fixedColumns} rowKey={trialKey} sort="" empty="" />
        </div>
      )}
    </>
  )
}

/** What a backtest looks at: neither a name that is still missing nor the annotations change it. */
function tried(r: RuleInput): RuleInput {
  return {
    name: r.name || 'unnamed',
    type: 'alerting',
    expr: r.expr,
    enabled: true,
    ...(r.for ? { for: r.for } : {}),
    ...(r.keep_firing_for ? { keep_firing_for: r.keep_firing_for } : {}),
    ...(r.labels ? { labels: r.labels } : {}),
  }
}
