import { Button } from '@mantine/core'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { Link } from 'wouter'
import { useConfig, useLogs, useTrace, useTraceBaselines } from '../api/queries'
import type { Trace } from '../api/types'
import { MetaWarnings, Problem, Status, Waiting } from '../components/bits'
import { LinkButton } from '../components/button'
import { More } from '../components/growing'
import { PageHeader } from '../components/page'
import { absolute, took } from '../lib/format'
import { external, serviceOfPath, useHref, useParam } from '../lib/url'
import { keyLines } from '../logs/line'
import { LogLines } from '../logs/lines'
import { servicesOf } from '../trace/colors'
import { Compare } from '../trace/compare-view'
import { useCopy } from '../trace/copy'
import { FlameGraph } from '../trace/flame-view'
import { CopyButton, SpanPanel, TabButton } from '../trace/panel'
import { baselineOf, baselinesOf, rankOf } from '../trace/rank'
import { ServiceTable, SpanTable } from '../trace/tables'
import { type SpanNode, type SpanTree, treeOf } from '../trace/tree'
import { useAnalysis } from '../trace/use-analysis'
import { Waterfall } from '../trace/waterfall'
import '../trace/trace.css'
import '../trace/panel.css'

const marginSeconds = 60

export default function TracePage() {
  const id = serviceOfPath(window.location.pathname)
  const answer = useTrace(id)
  const trace = answer.data?.trace
  const tree = useMemo(() => (trace ? treeOf(trace) : undefined), [trace])
  return (
    <>
      <TraceHead id={id} tree={tree} />
      <MetaWarnings meta={answer.data?.meta} />
      {trace?.warnings?.map((w) => (
        <p key={w} className="said">
          <Status health="pending" word={w} />
        </p>
      ))}
      {answer.error !== null && answer.data !== undefined && <Problem error={answer.error} />}
      {tree === undefined || trace === undefined ? (
        <Waiting what="the trace" error={answer.error} />
      ) : (
        <View key={id} id={id} tree={tree} trace={trace} />
      )}
    </>
  )
}

/** The lines of a trace lie around its time, wherever the page's range is. */
function logsOf(id: string, tree: SpanTree): { trace: string; from: string; to: string } {
  const from = Math.floor(tree.start / 1e6) - marginSeconds
  return { trace: id, from: String(from), to: String(Math.ceil((tree.start + tree.duration) / 1e6) + marginSeconds) }
}

function TraceHead({ id, tree }: { id: string; tree: SpanTree | undefined }) {
  const href = useHref()
  const jaeger = useConfig().data?.links.jaeger
  const root = tree?.nodes[0]
  const [copied, copy] = useCopy()
  return (
    <PageHeader
      crumb={<Link href={href('/traces')}>Traces</Link>}
      title={
        root ? (
          <span className="tv-title" title={`${root.service} ${root.span.operationName}`}>
            <bdi>{root.service}</bdi> <bdi>{root.span.operationName}</bdi>
          </span>
        ) : (
          'Trace'
        )
      }
      beside={
        <span className="tv-beside">
          <code className="dim">{id}</code> <CopyButton text={id} label="Copy id" />
        </span>
      }
      actions={
        <>
          <Button variant="default" onClick={() => copy(window.location.href)}>
            {copied === undefined ? 'Copy link' : 'Copied'}
          </Button>
          <Button variant="default" component="a" href={`/api/v1/traces/${encodeURIComponent(id)}`} download={`trace-${id}.json`}>
            JSON
          </Button>
          {tree && root && <LinkButton href={href('/logs', logsOf(id, tree))}>Logs of this trace</LinkButton>}
          {jaeger && (
            <Button variant="default" component="a" href={external(jaeger, `/trace/${id}`)}>
              Trace in Jaeger
            </Button>
          )}
        </>
      }
    />
  )
}

const tabs = ['waterfall', 'flame', 'spans', 'services', 'logs', 'compare'] as const
type Tab = (typeof tabs)[number]
const labels: Record<Tab, string> = {
  waterfall: 'Waterfall',
  flame: 'Flame graph',
  spans: 'Spans',
  services: 'Services',
  logs: 'Logs',
  compare: 'Compare',
}

function View({ id, tree, trace }: { id: string; tree: SpanTree; trace: Trace }) {
  const [tabName, setTab] = useParam('tab', 'waterfall')
  const tab = tabs.find((t) => t === tabName) ?? 'waterfall'
  const analysis = useAnalysis(tree)
  const services = useMemo(() => servicesOf(tree), [tree])
  const known = useTraceBaselines(id).data
  const baselines = useMemo(() => baselinesOf(known?.operations ?? []), [known])
  const rank = useCallback((n: SpanNode) => rankOf(baselineOf(baselines, n), n.span.duration / 1000), [baselines])
  const { opened, unknown, open } = useOpened(tree)
  const reveal = useRef<((n: SpanNode) => void) | null>(null)
  const { from, to } = logsOf(id, tree)
  const logs = useLogs({ trace_id: id }, { from: Number(from), to: Number(to) }, true)
  const lines = useMemo(() => logs.data?.pages.flatMap((p) => p.logs) ?? [], [logs.data])
  const keyed = useMemo(() => keyLines(lines), [lines])
  const openInWaterfall = useCallback(
    (n: SpanNode) => {
      open(n)
      setTab('waterfall', false)
    },
    [open, setTab],
  )
  const root = tree.nodes[0]
  return (
    <>
      <Facts
        tree={tree}
        rank={root && rank(root)}
        onOpen={(n) => {
          openInWaterfall(n)
          reveal.current?.(n)
        }}
      />
      {unknown !== '' && <Status health="pending" word={`Span ${unknown} is not in this trace.`} />}
      <div className={opened && tab === 'waterfall' ? 'tv tv-with-panel' : 'tv'}>
        <section className="tv-card" aria-label="Trace">
          <div className="tv-tabs" role="tablist" aria-label="Views of the trace">
            {tabs.map((t) => (
              <TabButton key={t} id={`trace-${t}`} selected={t === tab} controls="trace-view" onSelect={() => setTab(t, false)}>
                {labels[t]}
                {t === 'logs' && logs.data && (
                  <span className="dim">
                    {' '}
                    {lines.length}
                    {logs.hasNextPage && '+'}
                  </span>
                )}
              </TabButton>
            ))}
          </div>
          <div id="trace-view" role="tabpanel" aria-labelledby={`trace-${tab}`}>
            {tab === 'waterfall' && (
              <Waterfall
                tree={tree}
                trace={trace}
                analysis={analysis}
                services={services}
                rank={rank}
                opened={opened}
                onOpen={open}
                reveal={reveal}
                lines={lines}
              />
            )}
            {tab === 'flame' &&
              (analysis ? <FlameGraph tree={tree} analysis={analysis} services={services} /> : <Waiting what="the flame graph" />)}
            {tab === 'spans' && <SpanTable tree={tree} analysis={analysis} services={services} onOpen={openInWaterfall} />}
            {tab === 'services' && <ServiceTable tree={tree} analysis={analysis} services={services} onOpen={openInWaterfall} />}
            {tab === 'logs' &&
              (logs.data === undefined ? (
                <Waiting what="logs" error={logs.error} />
              ) : (
                <>
                  <LogLines lines={keyed} empty="No log lines of this trace are kept." label="Log lines of this trace" />
                  <More list={logs} />
                </>
              ))}
            {tab === 'compare' && <Compare id={id} tree={tree} baseline={root && baselineOf(baselines, root)} />}
          </div>
        </section>
        {opened && tab === 'waterfall' && (
          <SpanPanel
            node={opened}
            tree={tree}
            trace={trace}
            self={analysis?.self[opened.index]}
            critical={analysis?.critical[opened.index]}
            rank={rank(opened)}
            baseline={baselineOf(baselines, opened)}
            lines={lines}
            moreLines={logs.hasNextPage}
            onClose={() => open(undefined)}
          />
        )}
      </div>
    </>
  )
}

function Facts({ tree, rank, onOpen }: { tree: SpanTree; rank: number | undefined; onOpen: (n: SpanNode) => void }) {
  const origins = useMemo(() => tree.nodes.filter((n) => n.origin), [tree])
  const [first] = origins
  const root = tree.nodes[0]
  const began = new Date(tree.start / 1000).toISOString()
  return (
    <p className="tv-facts dim">
      {first && (
        <span>
          <span className="bad">failed</span> in{' '}
          <button type="button" className="tv-link" onClick={() => onOpen(first)}>
            <bdi>{first.service}</bdi> <bdi>{first.span.operationName}</bdi>
          </button>
          {origins.length > 1 && ` and ${(origins.length - 1).toLocaleString('en')} more`}
        </span>
      )}
      <span>
        <b>{took(tree.duration / 1000)}</b>
        {rank !== undefined && root && (
          <>
            {' '}
            (slower than {Math.floor(rank * 100)} % of <bdi>{root.span.operationName}</bdi>)
          </>
        )}
      </span>
      <span>
        <b>{tree.nodes.length.toLocaleString('en')}</b> spans
      </span>
      <span>
        <b>{tree.services.length}</b> services
      </span>
      <span>depth {tree.depth}</span>
      <time dateTime={began}>{absolute(began)}</time>
    </p>
  )
}

const settle = 250

/** The span in the panel. It is in the URL; moving along the rows writes it there when the movement rests, as browsers refuse too many changes. */
function useOpened(tree: SpanTree): { opened: SpanNode | undefined; unknown: string; open: (n: SpanNode | undefined) => void } {
  const [id, setID] = useParam('span')
  const byID = useMemo(() => new Map(tree.nodes.toReversed().map((n) => [n.span.spanID, n])), [tree]) // of equal ids the first
  const [state, setState] = useState(() => ({ node: byID.get(id), from: id }))
  // The URL was changed by a link or by going back, not from here.
  if (state.from !== id) setState({ node: state.node?.span.spanID === id ? state.node : byID.get(id), from: id })
  const wanted = state.node?.span.spanID ?? ''
  const moved = useRef(false)
  useEffect(() => {
    if (!moved.current || wanted === id) return
    const timer = setTimeout(() => setID(wanted), settle)
    return () => clearTimeout(timer)
  }, [wanted, id, setID])
  const open = useCallback((node: SpanNode | undefined) => {
    moved.current = true
    setState((old) => ({ ...old, node }))
  }, [])
  return { opened: state.node, unknown: id !== '' && !byID.has(id) ? id : '', open }
}
