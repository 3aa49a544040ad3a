import { Button, SegmentedControl } from '@mantine/core'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useSearchParams } from 'wouter'
import type { RuleInput } from '../api/types'
import { serverNow } from '../lib/clock'
import { endsNow, lengthText, type Range, rangeEnd, rangeSeconds } from '../lib/range'
import { rangeWords } from '../lib/range-words'
import { useRange } from '../lib/url'
import { useMissing } from '../promql/empty'
import { Graph } from '../promql/graph'
import { useHeldSince, useRangeQuery } from '../promql/queries'
import { valueWords } from '../promql/series'
import { compares, comparisonOf, withNumber, withThreshold } from '../promql/threshold'
import { Backtest, useSettled } from './backtest'
import { HoldSlider } from './hold'

const longest = 21_600
const quick: Range[] = ['1h', '6h', '24h', '7d']

/** The page's range. Where the address has none it becomes what is held of the last hours, so that a chart is not mostly empty. */
function useHeldRange(): [Range, (r: Range) => void, boolean] {
  const [params] = useSearchParams()
  const [range, setRange] = useRange()
  const open = useRef(!params.has('from') && !params.has('range'))
  const held = useHeldSince(longest, open.current)
  const known = held.data !== undefined || held.error !== null
  useEffect(() => {
    if (!open.current || !known) return
    open.current = false
    const seconds = serverNow() / 1000 - (held.data ?? 0)
    setRange(lengthText(Math.min(longest, Math.max(300, Math.ceil(seconds / 60) * 60))), { replace: true })
  }, [known, held.data, setRange])
  return [range, setRange, !open.current]
}

interface Props {
  rule: RuleInput
  saved: RuleInput | undefined
  /** Absent: nothing can be changed. */
  onExpr: ((expr: string) => void) | undefined
  onFor: ((text: string) => void) | undefined
  onError: (error: Error | null) => void
}

/** What a rule looks at and what it would have done, over one axis of time. */
export function Workshop({ rule, saved, onExpr, onFor, onError }: Props) {
  const [range, setRange, ready] = useHeldRange()
  const [now, setNow] = useState(() => Math.floor(serverNow() / 1000))
  // biome-ignore lint/correctness/useExhaustiveDependencies: another range begins anew
  useEffect(() => setNow(Math.floor(serverNow() / 1000)), [range])
  const end = endsNow(range) ? now : rangeEnd(range)
  const start = end - rangeSeconds(range)
  const fixed: Range = `${start}..${end}`
  const typed = useSettled(rule.expr, 350)
  const condition = useMemo(() => comparisonOf(typed), [typed])
  const live = comparisonOf(rule.expr) // the line follows at once
  const expr = condition?.expr ?? typed
  const { data, isPlaceholderData } = useRangeQuery(expr, fixed, ready)
  const missing = useMissing(expr, expr !== '')?.missing[0]?.name
  const threshold = live && {
    value: live.threshold,
    op: live.op,
    format: valueWords,
    onChange: onExpr && ((v: number) => onExpr(withThreshold(rule.expr, v))),
  }
  const words = range.includes('..') ? `From ${rangeWords(range)}` : `Over the last ${range}`
  return (
    <div className="aligned workshop">
      <div className="tools">
        <h2>Graph and backtest</h2>
        <SegmentedControl
          aria-label="How far back"
          value={quick.includes(range) ? range : ''}
          onChange={setRange}
          data={quick.map((r) => ({ value: r, label: r }))}
        />
        <Button onClick={() => setNow(Math.floor(serverNow() / 1000))} disabled={!endsNow(range)}>
          Up to now
        </Button>
      </div>
      {ready && expr !== '' && (
        <Graph
          expr={expr}
          range={fixed}
          span={[start, end]}
          title="Graph of the condition"
          fold={8}
          threshold={threshold}
          height={260}
          onChange={onExpr && ((e) => onExpr(condition ? rule.expr.replace(condition.expr, () => e) : e))}
          quiet
        />
      )}
      {live === undefined && onExpr && data !== undefined && data.series.length > 0 && !compares(rule.expr) && (
        <p className="pq-fold">
          <span className="dim">The condition compares with no number: every series that it returns meets it.</span>
          <Button onClick={() => onExpr(withNumber(rule.expr, highest(data.series)))}>Add a threshold</Button>
        </p>
      )}
      {ready && (
        <Backtest
          rule={rule}
          start={start}
          end={end}
          words={words}
          missing={missing}
          empty={condition !== undefined && !isPlaceholderData && data?.result.length === 0}
          saved={saved}
          onThreshold={onExpr && ((t) => onExpr(withThreshold(rule.expr, t)))}
          onFor={onFor}
          onError={onError}
        >
          {onFor && <HoldSlider value={rule.for ?? ''} onChange={onFor} />}
        </Backtest>
      )}
    </div>
  )
}

function highest(series: readonly { values: (number | null)[] }[]): number {
  let max = 0
  for (const s of series) for (const v of s.values) if (v !== null) max = Math.max(max, v)
  return max
}
