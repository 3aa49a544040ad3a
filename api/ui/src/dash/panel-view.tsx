import { ActionIcon, Menu } from '@mantine/core'
import { EllipsisVertical } from 'lucide-react'
import { type ReactNode, type RefObject, useMemo, useRef, useState } from 'react'
import { useLocation } from 'wouter'
import type { DashboardPanel } from '../api/types'
import { Chart } from '../chart/chart'
import { fileName } from '../chart/png'
import { Problem, Status, Waiting } from '../components/bits'
import { Name } from '../components/name'
import { download } from '../lib/download'
import type { Range } from '../lib/range'
import { useHref } from '../lib/url'
import { useSeen } from '../lib/use-seen'
import { csvOf } from '../promql/csv'
import { HistogramHeat } from '../promql/heatmap'
import { Legend, linesOf, useShown } from '../promql/legend'
import { useRangeQueries } from '../promql/queries'
import { type Drawn, namesOf, ordered, type Series } from '../promql/series'
import { Markdown } from './markdown'
import { PanelTable } from './panel-table'
import { reduced, statWords, wordsOf } from './units'
import { interpolated, legendOf, type Scope, titleWith } from './variables'

export const step = 48
const gap = 12
export const heightOf = (p: Pick<DashboardPanel, 'height'>): number => p.height * step + (p.height - 1) * gap

const most = 100

interface Props {
  panel: DashboardPanel
  scope: Scope
  range: Range
  /** Buttons that change it. */
  tools?: ReactNode
}

/** One panel in its card. */
export function PanelView({ panel, scope, range, tools }: Props) {
  const card = useRef<HTMLElement>(null)
  const seen = useSeen(card)
  const png = useRef<(() => void) | null>(null)
  const title = titleWith(panel.title ?? '', scope)
  if (panel.type === 'row')
    return (
      <div className="dash-row">
        <h2>{title || 'Row'}</h2>
        {tools}
      </div>
    )
  const label = title || (panel.type === 'text' ? 'Text' : 'Panel')
  const exprs = (panel.queries ?? []).map((q) => interpolated(q.expr, scope))
  return (
    <section ref={card} className="dash-panel" aria-label={label} style={{ height: heightOf(panel) }}>
      <header>
        <h3 title={panel.description}>{title}</h3>
        {tools}
        {panel.type !== 'text' && exprs.length > 0 && (
          <PanelMenu
            title={label}
            exprs={exprs}
            range={range}
            png={panel.type === 'timeseries' || panel.type === 'heatmap' ? png : undefined}
          />
        )}
      </header>
      {panel.type === 'text' ? (
        <Markdown text={titleWith(panel.text ?? '', scope)} />
      ) : exprs.length === 0 ? (
        <p className="dim">This panel has no query.</p>
      ) : panel.type === 'table' ? (
        <PanelTable panel={panel} exprs={exprs} scope={scope} range={range} enabled={seen} label={label} />
      ) : (
        <Ranged panel={panel} exprs={exprs} scope={scope} range={range} seen={seen} label={label} png={png} />
      )}
    </section>
  )
}

function PanelMenu(props: { title: string; exprs: readonly string[]; range: Range; png: RefObject<(() => void) | null> | undefined }) {
  const { title, exprs, range, png } = props
  const href = useHref()
  const [, navigate] = useLocation()
  const answers = useRangeQueries(exprs, range, false) // what the panel has read already
  return (
    <Menu position="bottom-end" transitionProps={{ duration: 0 }}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size={24} aria-label={`Menu of ${title}`} title="More">
          <EllipsisVertical size={14} aria-hidden="true" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => navigate(href('/query', Object.fromEntries(exprs.map((e, i) => [`g${i}.expr`, e]))))}>
          Open in Metrics
        </Menu.Item>
        <Menu.Item onClick={() => navigate(href('/alerts/new', { expr: exprs[0] ?? '' }))}>Create alert</Menu.Item>
        {png && <Menu.Item onClick={() => png.current?.()}>Download PNG</Menu.Item>}
        {answers.some((a) => a.data !== undefined) && (
          <Menu.Item onClick={() => download(fileName(title, 'csv'), csvOf(answers.flatMap((a) => a.data?.result ?? [])))}>
            Download CSV
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  )
}

interface RangedProps {
  panel: DashboardPanel
  exprs: readonly string[]
  scope: Scope
  range: Range
  seen: boolean
  label: string
  png: RefObject<(() => void) | null>
}

/** What is drawn over the time range: lines, a number or a heatmap. */
function Ranged({ panel, exprs, scope, range, seen, label, png }: RangedProps) {
  const answers = useRangeQueries(exprs, range, seen)
  const failed = answers.findIndex((a) => a.error !== null)
  const error = answers[failed]?.error
  const first = answers.find((a) => a.data !== undefined)?.data
  const key = answers.map((a) => a.dataUpdatedAt).join()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the times of the answers stand for them
  const drawn = useMemo(() => {
    const list = answers.flatMap((a, i) => (a.data?.series ?? []).map((s) => ({ ...s, query: i, key: `${i} ${s.key}` })))
    const names = namesOf(list.map((s) => s.metric))
    return list.map((s, i): Drawn => {
      const legend = panel.queries?.[s.query]?.legend
      return { ...s, name: (legend && legendOf(legend, s.metric, scope)) || (names[i] as string) }
    })
  }, [key, panel.queries, scope])
  if (first === undefined)
    return error ? <Problem error={exprs.length > 1 ? `Query ${failed + 1}: ${error.message}` : error} /> : <Waiting what="values" />
  const empty = answers.every((a) => a.data?.result.length === 0)
  return (
    <>
      {error && <Problem error={`Query ${failed + 1}: ${error.message}`} />}
      {empty ? (
        <p className="dash-empty">
          <Status health="nodata" word="No data in this time range." />
        </p>
      ) : panel.type === 'stat' ? (
        <Stats series={drawn} panel={panel} />
      ) : panel.type === 'heatmap' || (drawn.length === 0 && first.histograms > 0) ? (
        <HistogramHeat
          {...first}
          expr={exprs.join('\n')}
          title={label}
          result={answers.flatMap((a): Series[] => a.data?.result ?? [])}
          height={Math.max(60, heightOf(panel) - 64)}
          png={png}
          words={wordsOf(panel.unit)}
          bare
        />
      ) : (
        <Lines series={drawn} times={first.times} panel={panel} label={label} png={png} />
      )}
    </>
  )
}

function Lines(props: { series: Drawn[]; times: number[]; panel: DashboardPanel; label: string; png: RefObject<(() => void) | null> }) {
  const { series, times, panel, label, png } = props
  const [at, setAt] = useState<number | null>(null)
  const kept = useMemo(() => ordered(series).slice(0, most), [series])
  const shown = useShown(kept)
  const lines = linesOf(kept).filter((_, i) => shown.shows(kept[i]?.key ?? ''))
  const rows = panel.height > 5 ? 3 : panel.height > 3 ? 2 : 1
  return (
    <>
      <Chart
        title={label}
        unit=""
        times={times}
        lines={lines}
        format={wordsOf(panel.unit)}
        span={[times[0] ?? 0, times.at(-1) ?? 1]}
        height={Math.max(60, heightOf(panel) - 64 - 24 * rows)}
        onCursor={setAt}
        png={png}
      />
      <div className="dash-legend" style={{ height: 24 * rows }}>
        <Legend series={kept} shown={shown} at={at} words={wordsOf(panel.unit)} />
      </div>
      {series.length > most && <p className="dim">{`${most} of ${series.length} series, those with the largest values.`}</p>}
    </>
  )
}

function Stats({ series, panel }: { series: Drawn[]; panel: DashboardPanel }) {
  const list = series.slice(0, 24)
  return (
    <ul className={list.length === 1 ? 'dash-stat dash-stat-one' : 'dash-stat'}>
      {list.map((s) => (
        <li key={s.key}>
          <b>{statWords(reduced(s.values, panel.reduce), panel.unit)}</b>
          {list.length > 1 && (
            <span className="dim">
              <Name of={s.name} />
            </span>
          )}
        </li>
      ))}
      {series.length > list.length && <li className="dim">{`${series.length - list.length} more`}</li>}
    </ul>
  )
}
