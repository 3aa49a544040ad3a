import { ActionIcon, Button, SegmentedControl } from '@mantine/core'
import { Bell, Check, Copy, Download, X } from 'lucide-react'
import { useEffect, useState } from 'react'
import { LinkButton } from '../components/button'
import { moment } from '../lib/format'
import type { Range } from '../lib/range'
import { useHref } from '../lib/url'
import { useCopy } from '../trace/copy'
import { csvOf, curlOf, download } from './csv'
import { PromQLField } from './editor'
import { Graph } from './graph'
import { prefix, stepsOf, timeOf, useInstantQuery, useRangeQuery } from './queries'
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
  const graph = useRangeQuery(expr, range, tab === 'graph')
  const table = useInstantQuery(expr, range, tab === 'table')
  const { error, refetch } = tab === 'graph' ? graph : table
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
                { value: 'table', label: 'Table' },
              ]}
            />
            <Actions expr={expr} tab={tab} range={range} data={tab === 'graph' ? graph.data?.result : table.data?.result} />
          </div>
          {tab === 'graph' ? (
            <Graph expr={expr} range={range} title={`Graph of query ${letter}`} fold={20} onChange={change} quiet />
          ) : (
            <InstantTable expr={expr} range={range} label={`Values of query ${letter}`} param={`g${at}.sort`} onChange={change} quiet />
          )}
        </>
      )}
    </section>
  )
}

function Actions({ expr, tab, range, data }: { expr: string; tab: Tab; range: Range; data: Parameters<typeof csvOf>[0] | undefined }) {
  const href = useHref()
  const [copied, copy] = useCopy()
  const command = () =>
    tab === 'graph'
      ? curlOf(window.location.origin, `${prefix}/query_range`, { query: expr, ...stepsOf(range) })
      : curlOf(window.location.origin, `${prefix}/query`, { query: expr, ...timeOf(range) })
  return (
    <div className="pq-actions">
      <LinkButton href={href('/alerts/new', { expr })} icon={Bell}>
        Create alert
      </LinkButton>
      <Button
        leftSection={copied === undefined ? <Copy size={14} aria-hidden="true" /> : <Check size={14} aria-hidden="true" />}
        onClick={() => copy(command())}
      >
        {copied === undefined ? 'Copy as curl' : 'Copied'}
      </Button>
      <Button
        leftSection={<Download size={14} aria-hidden="true" />}
        disabled={data === undefined || data.length === 0}
        onClick={() => data && download(`metrics ${moment(Date.now()).replaceAll(':', '-')}.csv`, csvOf(data))}
      >
        CSV
      </Button>
    </div>
  )
}
