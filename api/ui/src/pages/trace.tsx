import { memo, useEffect, useMemo, useState } from 'react'
import { Link } from 'wouter'
import { useConfig, useLogs, useTrace } from '../api/queries'
import type { Trace } from '../api/types'
import { Ago, MetaWarnings, Problem, Section, ServiceLink, Status, Swatch, Waiting } from '../components/bits'
import { More } from '../components/growing'
import { keyLines, LogLines, Pairs } from '../components/lines'
import { absolute, took } from '../lib/format'
import { external, serviceOfPath, tracePath, useHref, useParam } from '../lib/url'
import { colorOf } from '../trace/color'
import { barOf, type SpanNode, type SpanTree, tagOf, treeOf, visible } from '../trace/tree'

const pageSize = 500
const marginSeconds = 60

export default function TracePage() {
  const id = serviceOfPath(window.location.pathname)
  const href = useHref()
  const answer = useTrace(id)
  const jaeger = useConfig().data?.links.jaeger
  const trace = answer.data?.trace
  const tree = useMemo(() => (trace ? treeOf(trace) : undefined), [trace])
  const root = tree?.nodes[0]
  return (
    <>
      <header className="head">
        <p className="crumb">
          <Link href={href('/traces')}>Traces</Link>
        </p>
        <div className="head-line">
          <h1>{root ? `${root.service} ${root.span.operationName}` : 'Trace'}</h1>
          <code className="dim">{id}</code>
          <span className="links">
            {tree && root && <Link href={href('/logs', logsOf(id, tree))}>Logs of this trace</Link>}
            {jaeger && <a href={external(jaeger, `/trace/${id}`)}>Trace in Jaeger</a>}
          </span>
        </div>
        {tree && root && <Facts tree={tree} />}
      </header>
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
        <>
          <Waterfall tree={tree} trace={trace} />
          <TraceLogs id={id} tree={tree} />
        </>
      )}
    </>
  )
}

/** The lines of a trace lie around its time, wherever the page's range is. */
function logsOf(id: string, tree: SpanTree): { trace: string; from: string; to: string } {
  const from = Math.floor(tree.start / 1e6) - marginSeconds
  return { trace: id, from: String(from), to: String(Math.ceil((tree.start + tree.duration) / 1e6) + marginSeconds) }
}

function Facts({ tree }: { tree: SpanTree }) {
  const failed = tree.nodes.filter((n) => n.failed).length
  const began = new Date(tree.start / 1000).toISOString()
  return (
    <>
      <dl className="totals">
        <div>
          <dt>duration</dt>
          <dd>{took(tree.duration / 1000)}</dd>
        </div>
        <div>
          <dt>spans</dt>
          <dd>{tree.nodes.length}</dd>
        </div>
        <div>
          <dt>failed</dt>
          <dd className={failed > 0 ? 'bad' : undefined}>{failed}</dd>
        </div>
        <div>
          <dt>services</dt>
          <dd>{tree.services.length}</dd>
        </div>
        <div>
          <dt>deep</dt>
          <dd>{tree.depth}</dd>
        </div>
        <div>
          <dt>began</dt>
          <dd title={absolute(began)}>
            <Ago time={began} />
          </dd>
        </div>
      </dl>
      <ul className="marks" aria-label="Services of this trace">
        {tree.services.map((s) => (
          <li key={s.name} className="mark">
            <Swatch service={s.name} /> <ServiceLink name={s.name} />{' '}
            <span className={s.failed > 0 ? 'bad' : 'dim'}>{s.failed > 0 ? `${s.failed} of ${s.spans} failed` : s.spans}</span>
          </li>
        ))}
      </ul>
    </>
  )
}

const ticks = [0, 25, 50, 75]

function Waterfall({ tree, trace }: { tree: SpanTree; trace: Trace }) {
  const [selected, setSelected] = useParam('span')
  const [closed, setClosed] = useState<ReadonlySet<SpanNode>>(new Set())
  const [limit, setLimit] = useState(pageSize)
  const at = tree.nodes.findIndex((n) => n.span.spanID === selected)
  const rows = visible(tree.nodes, closed)
  const toggle = useMemo(
    () => (n: SpanNode) =>
      setClosed((old) => {
        const next = new Set(old)
        if (!next.delete(n)) next.add(n)
        return next
      }),
    [],
  )
  const select = useMemo(() => (id: string, was: boolean) => setSelected(was ? '' : id), [setSelected])
  // Who comes by a link to a span sees it.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the trace is there
  useEffect(() => {
    if (at < 0) return
    if (at >= limit) setLimit(at + pageSize)
    requestAnimationFrame(() => document.querySelector('.waterfall .marked')?.scrollIntoView({ block: 'center' }))
  }, [tree])
  return (
    <Section
      title="Spans"
      note={
        <>
          {tree.nodes.length > 1 && (
            <button
              type="button"
              className="plain"
              onClick={() => setClosed(closed.size > 0 ? new Set() : new Set(tree.nodes.filter((n) => n.depth > 0 && n.below > 0)))}
            >
              {closed.size > 0 ? 'Open all' : 'Close all'}
            </button>
          )}
          {selected !== '' && at < 0 && ` Span ${selected} is not among them.`}
        </>
      }
    >
      <div className="waterfall">
        <table aria-label="Spans">
          <thead>
            <tr>
              <th scope="col">Service and operation</th>
              <th scope="col" className="w-time">
                <span className="hidden">Timeline</span>
                <span className="ruler" aria-hidden="true">
                  {ticks.map((t) => (
                    <span key={t} style={{ left: `${t}%` }}>
                      {took((tree.duration / 1000) * (t / 100)).replace(/^0 ms$/, '0')}
                    </span>
                  ))}
                </span>
              </th>
              <th scope="col" className="num">
                Duration
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, limit).map((n) => (
              <SpanRow
                key={`${n.span.spanID} ${n.span.processID} ${n.span.startTime} ${n.depth}`}
                node={n}
                duration={tree.duration}
                closed={closed.has(n)}
                open={n.span.spanID === selected}
                trace={trace}
                toggle={toggle}
                select={select}
              />
            ))}
          </tbody>
        </table>
        {rows.length > limit && (
          <button type="button" className="more" onClick={() => setLimit(limit + pageSize)}>
            {rows.length - limit} more
          </button>
        )}
      </div>
    </Section>
  )
}

interface RowProps {
  node: SpanNode
  duration: number
  closed: boolean
  open: boolean
  trace: Trace
  toggle: (n: SpanNode) => void
  select: (id: string, was: boolean) => void
}

const deepest = 24

const SpanRow = memo(function SpanRow({ node: n, duration, closed, open, trace, toggle, select }: RowProps) {
  const { left, width } = barOf(n, duration)
  const choose = () => select(n.span.spanID, open)
  const color = n.failed ? 'var(--c-error)' : colorOf(n.service)
  return (
    <>
      {/* The name's button does the same for keyboards and screen readers. */}
      <tr
        data-row
        className={open ? 'open marked' : 'open'}
        onClick={(e) => {
          if (!(e.target as Element).closest('a, button') && !window.getSelection()?.toString()) choose()
        }}
      >
        <td>
          <span className="w-name" style={{ paddingLeft: `calc(${Math.min(n.depth, deepest)} * var(--w-indent))` }}>
            {n.below > 0 ? (
              <button
                type="button"
                className="w-toggle"
                aria-expanded={!closed}
                aria-label={`${n.below} spans below ${n.span.operationName}`}
                onClick={() => toggle(n)}
              >
                {closed ? '▸' : '▾'}
              </button>
            ) : (
              <span className="w-toggle" />
            )}
            <Swatch service={n.service} />
            <button type="button" className="name" data-row-link aria-expanded={open} onClick={choose}>
              <b>{n.service}</b> {n.span.operationName}
              {closed && <span className="dim"> +{n.below}</span>}
            </button>
            {n.failed && <Status health="firing" word="failed" />}
          </span>
        </td>
        <td className="w-time">
          <span className="w-lane" aria-hidden="true">
            <span className={n.failed ? 'w-bar w-failed' : 'w-bar'} style={{ left: `${left}%`, width: `${width}%`, background: color }} />
          </span>
        </td>
        <td className="num">{took(n.span.duration / 1000)}</td>
      </tr>
      {open && (
        <tr className="w-detail">
          <td colSpan={3}>
            <SpanDetail node={n} trace={trace} />
          </td>
        </tr>
      )}
    </>
  )
})

function SpanDetail({ node: n, trace }: { node: SpanNode; trace: Trace }) {
  const href = useHref()
  const process = trace.processes[n.span.processID]
  const links = n.span.references.filter((r) => r.traceID !== n.span.traceID || r.refType !== 'CHILD_OF')
  return (
    <div className="detail">
      <dl className="facts">
        <div>
          <dt>began after</dt>
          <dd>{took(n.offset / 1000)}</dd>
        </div>
        <div>
          <dt>duration</dt>
          <dd>{took(n.span.duration / 1000)}</dd>
        </div>
        <div>
          <dt>kind</dt>
          <dd>{String(tagOf(n.span, 'span.kind') ?? 'internal')}</dd>
        </div>
        <div>
          <dt>span</dt>
          <dd>
            <code>{n.span.spanID}</code>
          </dd>
        </div>
        <div>
          <dt>more</dt>
          <dd>
            <Link href={href('/traces', { service: n.service, operation: n.span.operationName })}>Traces with this operation</Link>
          </dd>
        </div>
      </dl>
      {n.orphan && <Status health="pending" word="Its parent is not among the spans that are kept." />}
      {n.span.warnings?.map((w) => (
        <p key={w}>
          <Status health="pending" word={w} />
        </p>
      ))}
      <div className="columns">
        <div>
          <Pairs title="Attributes" values={pairsOf(n.span.tags)} />
          {links.length > 0 && (
            <>
              <h3>Links</h3>
              <ul>
                {links.map((r) => (
                  <li key={r.traceID + r.spanID}>
                    <Link href={href(tracePath(r.traceID), { span: r.spanID })}>
                      <code>{r.traceID}</code>
                    </Link>
                  </li>
                ))}
              </ul>
            </>
          )}
        </div>
        <div>
          {n.span.logs.length > 0 && (
            <>
              <h3>Events</h3>
              <ol className="events">
                {n.span.logs.map((l, i) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: events have no id, and their order does not change
                  <li key={i}>
                    <span className="dim">after {took((l.timestamp - n.span.startTime) / 1000)}</span>
                    <Pairs title={String(l.fields.find((f) => f.key === 'event')?.value ?? 'event')} values={pairsOf(l.fields, 'event')} />
                  </li>
                ))}
              </ol>
            </>
          )}
          <Pairs title="Process" values={{ 'service.name': n.service, ...pairsOf(process?.tags ?? []) }} />
        </div>
      </div>
    </div>
  )
}

function pairsOf(tags: { key: string; value?: unknown }[], without?: string): Record<string, unknown> {
  return Object.fromEntries(tags.filter((t) => t.key !== without).map((t) => [t.key, t.value]))
}

function TraceLogs({ id, tree }: { id: string; tree: SpanTree }) {
  const { from, to } = logsOf(id, tree)
  const logs = useLogs({ trace_id: id }, { from: Number(from), to: Number(to) }, true)
  const lines = useMemo(() => keyLines(logs.data?.pages.flatMap((p) => p.logs) ?? []), [logs.data])
  return (
    <Section title="Logs" note={logs.data && `${lines.length}${logs.hasNextPage ? ' and more' : ''}, newest first`}>
      {logs.data === undefined ? (
        <Waiting what="logs" error={logs.error} />
      ) : (
        <LogLines lines={lines} empty="No log lines of this trace are kept." label="Log lines of this trace" />
      )}
      <More list={logs} />
    </Section>
  )
}
