import { memo, type ReactNode, useMemo, useState } from 'react'
import { Link } from 'wouter'
import type { Baseline, LogLine, Trace } from '../api/types'
import { ServiceLink, Status } from '../components/bits'
import { timeOfDay, took } from '../lib/format'
import { tracePath, useHref } from '../lib/url'
import { severityOf, textOfLine } from '../logs/line'
import { type Attribute, attributesOf, failuresOf } from './attributes'
import { useCopy } from './copy'
import { type Share, type Shares, sharesSentence, shareText, suspicious, useShares } from './shares'
import { StackTrace } from './stack-view'
import type { SpanNode, SpanTree } from './tree'

interface Props {
  node: SpanNode
  tree: Pick<SpanTree, 'start'>
  trace: Trace
  self: number | undefined
  critical: number | undefined
  rank: number | undefined
  baseline: Baseline | undefined
  lines: readonly LogLine[]
  /** Not all log lines of the trace were read. */
  moreLines: boolean
  onClose: () => void
}

type Tab = 'attributes' | 'events' | 'logs' | 'links' | 'process'

/** One span beside the list: what it is, why it failed, and everything that it carries. */
export const SpanPanel = memo(function SpanPanel(p: Props) {
  const { node: n, trace } = p
  const href = useHref()
  const [tab, setTab] = useState<Tab>('attributes')
  const failures = useMemo(() => (n.failed ? failuresOf(n.span) : failuresOf({ tags: [], logs: n.span.logs })), [n])
  const links = n.span.references.filter((r) => r.traceID !== n.span.traceID || r.refType !== 'CHILD_OF')
  const lines = useMemo(() => p.lines.filter((l) => l.span_id === n.span.spanID), [p.lines, n])
  const process = trace.processes[n.span.processID]
  const { analysis, shares } = useShares(n, p.tree)
  const tabs: [Tab, string, number | undefined][] = [
    ['attributes', 'Attributes', n.span.tags.length],
    ['events', 'Events', n.span.logs.length],
    ['logs', 'Logs', lines.length],
    ['links', 'Links', links.length],
    ['process', 'Process', undefined],
  ]
  return (
    <aside className="tv-panel" aria-label={`Span ${n.service} ${n.span.operationName}`}>
      <header>
        <h2>
          <bdi>{n.service}</bdi> <bdi>{n.span.operationName}</bdi>
        </h2>
        <button type="button" className="tv-btn" aria-label="Close the span" onClick={p.onClose}>
          ×
        </button>
      </header>
      <p className="tv-panel-facts">
        {n.failed && <Status health="firing" word={n.origin ? 'failed here' : 'failed'} />} <b>{took(n.span.duration / 1000)}</b>
        {p.self !== undefined && <>, self {took(p.self / 1000)}</>}
        {p.critical !== undefined && p.critical > 0 && <>, {took(p.critical / 1000)} on the critical path</>}
        {' · '}
        {n.kind} · after {took(n.offset / 1000)}
      </p>
      <p className="tv-panel-facts dim">{rankSentence(p.rank, p.baseline)}</p>
      {n.orphan && <Status health="pending" word="Its parent is not among the spans that are kept." />}
      {n.span.warnings?.map((w) => (
        <p key={w}>
          <Status health="pending" word={w} />
        </p>
      ))}
      {failures.map((f, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: two may be equal
        <section key={`${n.index} ${i}`} className="tv-failure" aria-label="Exception">
          <p>
            {f.type && <b>{f.type}</b>} <bdi>{f.message}</bdi>
          </p>
          {f.stack && <StackTrace stack={f.stack} />}
        </section>
      ))}
      <div className="tv-tabs" role="tablist" aria-label="Details of the span">
        {tabs.map(([id, label, count]) => (
          <TabButton key={id} id={`span-${id}`} selected={tab === id} controls="span-detail" onSelect={() => setTab(id)}>
            {label}
            {count !== undefined && <span className="dim"> {count}</span>}
          </TabButton>
        ))}
      </div>
      <div id="span-detail" role="tabpanel" aria-labelledby={`span-${tab}`} className="tv-detail">
        {analysis && (tab === 'attributes' || tab === 'process') && <p className="dim tv-shares">{sharesSentence(analysis)}</p>}
        {tab === 'attributes' && (
          <Attributes of={attributesOf(n.span.tags)} service={n.service} empty="No attributes." shares={shares} scope="span" />
        )}
        {tab === 'events' && <Events node={n} />}
        {tab === 'logs' && <SpanLines lines={lines} more={p.moreLines} />}
        {tab === 'links' && <Links links={links} />}
        {tab === 'process' && (
          <Attributes
            of={[{ key: 'service.name', value: n.service, filter: undefined }, ...attributesOf(process?.tags ?? [])]}
            service={n.service}
            empty=""
            shares={shares}
            scope="resource"
          />
        )}
      </div>
      <p className="tv-panel-more">
        <Link href={href('/traces', { service: n.service, operation: n.span.operationName })}>Traces with this operation</Link>
        <ServiceLink name={n.service} />
        <CopyButton text={n.span.spanID} label="Copy span id" />
      </p>
    </aside>
  )
})

function rankSentence(rank: number | undefined, b: Baseline | undefined): string {
  if (b === undefined) return 'No other calls of this operation are known.'
  const calls = `${b.calls.toLocaleString('en')} calls of the hour before`
  if (rank === undefined) return `Too few calls to compare with: ${calls}.`
  return `Slower than ${(rank * 100).toFixed(rank > 0.99 && rank < 0.9995 ? 1 : 0)} % of ${calls}.`
}

export function TabButton({
  id,
  selected,
  controls,
  onSelect,
  children,
}: {
  id: string
  selected: boolean
  controls: string
  onSelect: () => void
  children: ReactNode
}) {
  return (
    <button
      type="button"
      role="tab"
      id={id}
      aria-selected={selected}
      aria-controls={selected ? controls : undefined}
      tabIndex={selected ? 0 : -1}
      onClick={onSelect}
      onKeyDown={(e) => {
        const by = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0
        if (by === 0) return
        e.preventDefault()
        const all = [...(e.currentTarget.parentElement?.querySelectorAll<HTMLElement>('[role=tab]') ?? [])]
        const next = all[(all.indexOf(e.currentTarget) + by + all.length) % all.length]
        next?.focus()
        next?.click()
      }}
    >
      {children}
    </button>
  )
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, copy] = useCopy()
  return (
    <button type="button" className="tv-btn" onClick={() => copy(text)}>
      {copied === undefined ? label : 'Copied'}
    </button>
  )
}

const longest = 2_000

interface AttributesProps {
  of: readonly Attribute[]
  service: string
  empty: string
  shares?: Shares | undefined
  scope?: 'span' | 'resource'
}

function ShareOf({ share }: { share: Share | undefined }) {
  if (share === undefined) return null
  return <span className={suspicious(share) ? 'tv-share bad' : 'tv-share'}>{shareText(share)}</span>
}

function Attributes({ of, service, empty, shares, scope = 'span' }: AttributesProps) {
  const href = useHref()
  const [copied, copy] = useCopy()
  if (of.length === 0) return <p className="dim">{empty}</p>
  return (
    <dl className="tv-pairs">
      {of.map((a, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a key may come twice
        <div key={i}>
          <dt>
            <bdi>{a.key}</bdi>
          </dt>
          <dd>
            <bdi>{a.value.slice(0, longest)}</bdi>
            {a.value.length > longest && <span className="dim"> … {a.value.length - longest} more characters</span>}
            <ShareOf share={shares?.(scope, a.key, a.value)} />
            <span className="tv-pair-actions">
              {a.filter && (
                <Link href={href('/traces', { service, attrs: a.filter })} aria-label={`Traces with ${a.key} ${a.value.slice(0, 80)}`}>
                  Filter
                </Link>
              )}
              <button type="button" className="tv-link" aria-label={`Copy ${a.key}`} onClick={() => copy(a.value)}>
                {copied === a.value ? 'Copied' : 'Copy'}
              </button>
            </span>
          </dd>
        </div>
      ))}
    </dl>
  )
}

function Events({ node: n }: { node: SpanNode }) {
  if (n.span.logs.length === 0) return <p className="dim">No events.</p>
  return (
    <ol className="tv-events-list">
      {n.span.logs.map((l, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: events have no id, and their order does not change
        <li key={i}>
          <p>
            <b>{String(l.fields.find((f) => f.key === 'event')?.value ?? 'event')}</b>{' '}
            <span className="dim">after {took((l.timestamp - n.span.startTime) / 1000)}</span>
          </p>
          <Attributes of={attributesOf(l.fields, ['event', 'exception.stacktrace'])} service={n.service} empty="" />
        </li>
      ))}
    </ol>
  )
}

function SpanLines({ lines, more }: { lines: readonly LogLine[]; more: boolean }) {
  return (
    <>
      {lines.length === 0 && <p className="dim">No log lines of this span{more ? ' among those that were read' : ''}.</p>}
      <ol className="tv-lines">
        {lines.map((l, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines may be equal
          <li key={i}>
            <span className="dim">{timeOfDay(l.time)}</span>{' '}
            <span className={`sev sev-${severityOf(l.severity)}`}>{l.severity || 'none'}</span>
            <p>
              <bdi>{textOfLine(l).slice(0, longest)}</bdi>
            </p>
          </li>
        ))}
      </ol>
      {more && <p className="dim">The tab Logs reads further lines of the trace.</p>}
    </>
  )
}

function Links({ links }: { links: readonly { refType: string; traceID: string; spanID: string }[] }) {
  const href = useHref()
  if (links.length === 0) return <p className="dim">No links.</p>
  return (
    <ul className="tv-links">
      {links.map((r) => (
        <li key={r.traceID + r.spanID}>
          <Link href={href(tracePath(r.traceID), { span: r.spanID })}>
            <code>{r.traceID}</code>
          </Link>
        </li>
      ))}
    </ul>
  )
}
