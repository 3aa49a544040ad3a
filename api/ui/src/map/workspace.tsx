import { SegmentedControl } from '@mantine/core'
import { lazy, memo, Suspense, useCallback, useEffect, useMemo, useRef } from 'react'
import type { Edge } from '../api/types'
import { Chip } from '../components/bits'
import { Name } from '../components/name'
import { stubborn } from '../lib/lazy'
import { queryOfRange } from '../lib/range'
import { useParams, useRange } from '../lib/url'
import { type BoxState, boxOf, type Facts, healthOfNode, importance, kept, type LineState, lineOf } from './boxes'
import type { MapData } from './data'
import { FindBox } from './find'
import { type Graph, type GraphNode, graphOf, nodeOfParam, paramOfNode, within } from './graph'
import { NodePanel } from './panel'
import { type Scope, scopeOf } from './scope'

const Drawing = lazy(() => stubborn(() => import('./drawing')))

interface Props {
  /** What the filters leave. */
  edges: readonly Edge[]
  /** What there is without them: its nodes can be found. */
  whole: Graph
  data: MapData
  narrowed: string
}

const params = ['focus', 'depth', 'sel', 'open'] as const
const noFirst: string[] = []

/** The drawing with what is chosen in it: a neighbourhood, opened namespaces, one service in the panel. The URL holds all of these. */
export const Workspace = memo(function Workspace({ edges, whole, data, narrowed }: Props) {
  const [q, setQ] = useParams(params)
  const { facts } = data
  const graph = useMemo(() => (edges.length === whole.lines.length ? whole : graphOf(edges)), [edges, whole])
  const all = useSameNodes(whole.shown)
  const focus = nodeOfParam(graph.shown, q.focus)
  const depth = [1, 2, 3].includes(Number(q.depth)) ? Number(q.depth) : 1
  const open = useMemo(() => new Set(namespacesOf(q.open)), [q.open])
  const viewKey = JSON.stringify([focus?.id, depth, q.open, narrowed])
  const first = useFirst(graph, focus?.id, depth, facts, viewKey)
  const scope = useMemo(() => scopeOf(graph, { focus: focus?.id, depth, open, first }), [graph, focus?.id, depth, open, first])
  const view = useMemo(() => openedFirst(scope, [...open].at(-1), facts) ?? first, [scope, open, first, facts])
  const { boxes, lines } = useStates(scope, facts)
  const selected = nodeOfParam(graph.shown, q.sel)
  const latest = useRef({ scope, graph, open, selected, setQ })
  latest.current = { scope, graph, open, selected, setQ }
  // Both stay what they are while numbers change, so that boxes and the field are not drawn again for their sake.
  const choose = useCallback((id: string) => {
    const l = latest.current
    const group = l.scope.nodes.find((n) => n.id === id && n.type === 'group')
    const node = l.graph.shown.find((n) => n.id === id)
    if (group) l.setQ({ open: JSON.stringify([...l.open, group.name]) })
    else if (node) l.setQ({ sel: id === l.selected?.id ? '' : paramOfNode(node) })
  }, [])
  const close = useClose(selected, () => setQ({ sel: '' }))
  const find = useCallback((n: GraphNode) => {
    const l = latest.current
    const drawn = l.scope.nodes.some((d) => d.id === n.id)
    l.setQ(drawn ? { sel: paramOfNode(n) } : { sel: paramOfNode(n), focus: paramOfNode(n) })
  }, [])
  const services = graph.shown.filter((n) => n.type === 'service').length
  return (
    <>
      <div className="tools">
        <FindBox nodes={all} onFind={find} />
        {focus && (
          <>
            <Chip label="Neighbourhood of" onClear={() => setQ({ focus: '', depth: '' })}>
              <Name of={focus.label} />
            </Chip>
            <SegmentedControl
              aria-label="Depth"
              size="xs"
              value={String(depth)}
              onChange={(d) => setQ({ depth: d === '1' ? '' : d })}
              data={['1', '2', '3'].map((d) => ({ value: d, label: `depth ${d}` }))}
            />
          </>
        )}
        {!focus &&
          [...open].map((name) => (
            <Chip key={name} label="Namespace" onClear={() => setQ({ open: textOf([...open].filter((n) => n !== name)) })}>
              <Name of={name || 'none'} />
            </Chip>
          ))}
        <span className="note">{noteOf(scope, services, focus !== undefined)}</span>
      </div>
      <div className={selected ? 'map-space map-open' : 'map-space'} ref={close}>
        {data.judged ? (
          <Suspense fallback={<div className="drawing" />}>
            <Drawing scope={scope} boxes={boxes} lines={lines} first={view} viewKey={viewKey} selected={selected?.id} onChoose={choose} />
          </Suspense>
        ) : (
          <div className="drawing" />
        )}
        {selected && <Panel node={selected} graph={graph} data={data} onChoose={choose} setQ={setQ} />}
      </div>
    </>
  )
})

/** The nodes as they were, while there are no others. */
function useSameNodes(nodes: readonly GraphNode[]): readonly GraphNode[] {
  const kept = useRef(nodes)
  const same = kept.current.length === nodes.length && kept.current.every((n, i) => n.id === nodes[i]?.id && n.label === nodes[i]?.label)
  if (!same) kept.current = nodes
  return kept.current
}

const textOf = (open: readonly string[]): string => (open.length === 0 ? '' : JSON.stringify(open))

/** Names of namespaces may hold anything, so the URL has them as JSON. */
function namespacesOf(text: string): string[] {
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) ? list.filter((n) => typeof n === 'string') : []
  } catch {
    return []
  }
}

function noteOf(scope: Scope, services: number, focused: boolean): string {
  const drawn = scope.nodes.filter((n) => n.type === 'service').length
  if (focused) return `${drawn} of ${services} services`
  if (scope.namespaces.length > 0) return `${drawn} of ${services} services are drawn by themselves; a namespace opens on a click`
  return scope.left > 0 ? `${drawn} of ${services} services: those that matter most, and their neighbours` : ''
}

/**
 * The boxes of the first view: the neighbourhood that was chosen, else what is not ok with its neighbours, else the busiest with
 * theirs. They are kept until another view begins, because they decide what of a large system is drawn.
 */
function useFirst(graph: Graph, focus: string | undefined, depth: number, facts: Facts, viewKey: string): readonly string[] {
  const held = useRef<{ key: string; ids: readonly string[] }>({ key: '', ids: noFirst })
  const known = graph.shown.length > 0 && facts.health.size > 0
  const key = known ? viewKey : ''
  if (held.current.key !== key || key === '') {
    held.current = { key, ids: firstOf(graph, focus, depth, facts) }
  }
  return held.current.ids
}

function firstOf(graph: Graph, focus: string | undefined, depth: number, facts: Facts): string[] {
  if (focus !== undefined) return [...within(graph.lines, [focus], depth)]
  const { unhealthy, busiest } = importance(graph.shown, facts)
  return [...within(graph.lines, unhealthy.length > 0 ? unhealthy : busiest, 1)]
}

/** The services of the namespace that was opened last, those that are not ok first. */
function openedFirst(scope: Scope, namespace: string | undefined, facts: Facts): string[] | undefined {
  if (namespace === undefined || scope.namespaces.length === 0) return undefined
  const own = scope.nodes.flatMap((n) => n.members.filter((m) => m.id === n.id && m.type === 'service' && m.namespace === namespace))
  const ids = [...importance(own, facts).unhealthy, ...own.map((m) => m.id)]
  return ids.length === 0 ? undefined : [...new Set(ids)]
}

/** What the boxes and lines show. Those that did not change keep their identity. */
function useStates(scope: Scope, facts: Facts) {
  const before = useRef<{ boxes: Map<string, BoxState>; lines: Map<string, LineState> }>({ boxes: new Map(), lines: new Map() })
  const states = useMemo(() => {
    const incoming = new Map<string, Edge[]>()
    for (const l of scope.lines) incoming.set(l.to, [...(incoming.get(l.to) ?? []), ...l.edges])
    return {
      boxes: kept(before.current.boxes, new Map(scope.nodes.map((n) => [n.id, boxOf(n, incoming.get(n.id) ?? [], facts)]))),
      lines: kept(before.current.lines, new Map(scope.lines.map((l) => [l.id, lineOf(l, facts)]))),
    }
  }, [scope, facts])
  useEffect(() => {
    before.current = states
  }, [states])
  return states
}

/** Escape closes the panel, and the focus goes back to its box. */
function useClose(selected: GraphNode | undefined, onClose: () => void) {
  const host = useRef<HTMLDivElement>(null)
  const latest = useRef({ selected, onClose })
  latest.current = { selected, onClose }
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const { selected: s, onClose: end } = latest.current
      if (e.key !== 'Escape' || e.defaultPrevented || s === undefined) return
      if ((e.target as Element).closest('input, [role=dialog], [role=listbox]')) return
      end()
      host.current?.querySelector<HTMLElement>(`[data-box="${CSS.escape(s.id)}"]`)?.focus()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
  return host
}

interface PanelProps {
  node: GraphNode
  graph: Graph
  data: MapData
  onChoose: (id: string) => void
  setQ: (values: Partial<Record<(typeof params)[number], string>>) => void
}

function Panel({ node, graph, data, onChoose, setQ }: PanelProps) {
  const [range] = useRange()
  const { facts, shown } = data
  const { incoming, outgoing } = useMemo(
    () => ({
      incoming: graph.lines.filter((l) => l.to === node.id).map((l) => ({ other: l.from, edge: l.edge })),
      outgoing: graph.lines.filter((l) => l.from === node.id).map((l) => ({ other: l.to, edge: l.edge })),
    }),
    [graph, node.id],
  )
  return (
    <NodePanel
      node={node}
      health={node.type === 'service' ? healthOfNode(node, facts) : undefined}
      judged={facts.health.get(node.key)}
      alerts={facts.alerts.get(node.name) ?? []}
      incoming={incoming}
      outgoing={outgoing}
      seconds={facts.seconds}
      times={shown === range ? {} : (queryOfRange(shown) as Record<string, string>)}
      onChoose={onChoose}
      onFocus={() => setQ({ focus: paramOfNode(node) })}
      onClose={() => setQ({ sel: '' })}
    />
  )
}
