import { ActionIcon, Button, Menu, SegmentedControl } from '@mantine/core'
import { Bell, Check, Copy, Download, X } from 'lucide-react'
import { type RefObject, useEffect, useRef, useState } from 'react'
import { LinkButton } from '../components/button'
import { AddToDashboard } from '../dash/add-to'
import { download } from '../lib/download'
import { moment } from '../lib/format'
import type { Range } from '../lib/range'
import { useHref } from '../lib/url'
import { useCopy } from '../trace/copy'
import { csvOf, curlOf, jsonOf } from './csv'
import { PromQLField } from './editor'
import { Graph } from './graph'
import { hasBuckets } from './histogram'
import { prefix, stepsOf, timeOf, useInstantQuery, useRangeQuery } from './queries'
import type { Series } from './series'
import { InstantTable } from './table'
import type { PanelQuery, Tab } from './url'

interface Props {
  query: PanelQuery
  at: number
  range: Range
  onQuery: (q: PanelQuery) => void
  /** Absent: it is the only one. */
  onRemove?: (() => void) | undefined
}

/** One query: its editor, and its graph or its table. */
export function Panel({ query: { expr, tab }, at, range, onQuery, onRemove }: Props) {
  const [draft, setDraft] = useState(expr)
  useEffect(() => setDraft(expr), [expr])
  const letter = String.fromCharCode(65 + at)
  const graph = useRangeQuery(expr, range, tab !== 'table')
  const table = useInstantQuery(expr, range, tab === 'table')
  const { error, refetch } = tab === 'table' ? table : graph
  const answer = tab === 'table' ? table.data : graph.data && { type: 'matrix', result: graph.data.result }
  const buckets = tab === 'heatmap' || (answer !== undefined && hasBuckets(answer.result))
  const png = useRef<(() => void) | null>(null)
  const change = (text: string) => onQuery({ expr: text, tab })
  const run = () => (draft.trim() === expr ? void refetch() : change(draft.trim()))
  return (
    <section className="pq-panel" aria-label={`Query ${letter}`}>
      <div className="pq-head">
        <span className="pq-letter" aria-hidden="true">
          {letter}
        </span>
        <PromQLField
          label={`Expression ${letter}`}
          bare
          value={draft}
          onChange={setDraft}
          onRun={run}
          error={draft === expr ? error?.message : undefined}
          placeholder="PromQL: Enter runs it, Shift and Enter begins a line"
        />
        <Button variant="filled" onClick={run} disabled={draft.trim() === ''}>
          Run
        </Button>
        {onRemove && (
          <ActionIcon variant="default" size={30} aria-label={`Remove query ${letter}`} onClick={onRemove}>
            <X size={16} aria-hidden="true" />
          </ActionIcon>
        )}
      </div>
      {expr !== '' && (
        <>
          <div className="tools pq-tools">
            <SegmentedControl
              aria-label={`View of query ${letter}`}
              value={tab}
              onChange={(t) => onQuery({ expr, tab: t as Tab })}
              data={[
                { value: 'graph', label: 'Graph' },
                ...(buckets ? [{ value: 'heatmap', label: 'Heatmap' }] : []),
                { value: 'table', label: 'Table' },
              ]}
            />
            <Actions expr={expr} tab={tab} range={range} answer={answer} png={tab === 'table' ? undefined : png} />
          </div>
          {tab !== 'table' ? (
            <Graph
              expr={expr}
              range={range}
              title={`${tab === 'heatmap' ? 'Heatmap' : 'Graph'} of query ${letter}`}
              fold={20}
              onChange={change}
              heatmap={tab === 'heatmap'}
              png={png}
              quiet
            />
          ) : (
            <InstantTable expr={expr} range={range} label={`Values of query ${letter}`} param={`g${at}.sort`} onChange={change} quiet />
          )}
        </>
      )}
    </section>
  )
}

interface ActionsProps {
  expr: string
  tab: Tab
  range: Range
  answer: { type: string; result: readonly Series[] } | undefined
  /** Saves the chart; absent where there is none. */
  png: RefObject<(() => void) | null> | undefined
}

function Actions({ expr, tab, range, answer, png }: ActionsProps) {
  const href = useHref()
  const [copied, copy] = useCopy()
  const asked = () => ({ query: expr, ...(tab === 'table' ? timeOf(range) : stepsOf(range)) })
  const command = () => curlOf(window.location.origin, `${prefix}/${tab === 'table' ? 'query' : 'query_range'}`, asked())
  const empty = answer === undefined || answer.result.length === 0
  const name = (ending: string) => `metrics ${moment(Date.now()).replaceAll(':', '-')}.${ending}`
  return (
    <div className="pq-actions">
      <AddToDashboard
        panel={{ type: tab === 'graph' ? 'timeseries' : tab, title: expr.slice(0, 60), width: 6, height: 5, queries: [{ expr }] }}
      />
      <LinkButton href={href('/alerts/new', { expr })} icon={Bell}>
        Create alert
      </LinkButton>
      <Button
        leftSection={copied === undefined ? <Copy size={14} aria-hidden="true" /> : <Check size={14} aria-hidden="true" />}
        onClick={() => copy(command())}
      >
        {copied === undefined ? 'Copy as curl' : 'Copied'}
      </Button>
      <Menu position="bottom-end" transitionProps={{ duration: 0 }}>
        <Menu.Target>
          <Button leftSection={<Download size={14} aria-hidden="true" />} disabled={empty}>
            Export
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => answer && download(name('csv'), csvOf(answer.result))}>CSV</Menu.Item>
          <Menu.Item onClick={() => answer && download(name('json'), jsonOf(asked(), answer.type, answer.result), 'application/json')}>
            JSON
          </Menu.Item>
          {png && <Menu.Item onClick={() => png.current?.()}>PNG</Menu.Item>}
        </Menu.Dropdown>
      </Menu>
    </div>
  )
}
