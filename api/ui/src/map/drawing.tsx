import { useComputedColorScheme } from '@mantine/core'
import { useThrottledValue } from '@mantine/hooks'
import {
  Controls,
  type Edge as FlowEdge,
  type Node as FlowNode,
  Handle,
  MarkerType,
  type NodeProps,
  Position,
  ReactFlow,
  useNodesState,
} from '@xyflow/react'
import '@xyflow/react/dist/base.css'
import { memo, useEffect, useMemo, useRef, useState } from 'react'
import { Link } from 'wouter'
import type { Edge, MapNode } from '../api/types'
import { count, millis, percent } from '../lib/format'
import { failing } from '../lib/health'
import { servicePath, useHref } from '../lib/url'
import { edgeKey } from '../live/views'
import { type Kind, kindOf, wordsOf } from './difference'
import { type GraphLine, type GraphNode, graphOf } from './graph'
import { nodeHeight, nodeWidth, type Positions, type Topology } from './layout'

const most = 200

type ServiceNode = FlowNode<{ name: string; type: MapNode['type']; href: string | undefined; dimmed: boolean }, 'service'>

const glyphs: Record<MapNode['type'], string> = { service: '', database: '⛁', virtual_node: '◌' }
const words: Record<MapNode['type'], string> = {
  service: 'service',
  database: 'database',
  virtual_node: 'not instrumented',
}

const NodeBox = memo(function NodeBox({ data }: NodeProps<ServiceNode>) {
  return (
    <div className={`node node-${data.type}${data.dimmed ? ' node-dimmed' : ''}`} title={`${data.name} (${words[data.type]})`}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      {glyphs[data.type] && <span aria-hidden="true">{glyphs[data.type]}</span>}
      {data.href ? (
        <Link href={data.href} draggable={false}>
          {data.name}
        </Link>
      ) : (
        <span className="node-name">{data.name}</span>
      )}
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  )
})
const nodeTypes = { service: NodeBox }

/** The map as a drawing. It is laid out again only when nodes or edges come or go; what is counted changes lines alone. */
export default function Drawing(props: { edges: Edge[]; compare?: boolean }) {
  const { edges, compare = false } = useThrottledValue(props, 1_000) // lines need not follow each commit
  const href = useHref()
  const scheme = useComputedColorScheme('light')
  const [over, setOver] = useState<string | null>(null)
  const { shown, lines } = useMemo(() => graphOf(edges), [edges])
  const tooMany = shown.length > most
  const positions = useLayout(tooMany ? [] : shown, lines)
  const near = useMemo(() => {
    if (over === null) return null
    return new Set([over, ...lines.flatMap((l) => (l.from === over ? [l.to] : l.to === over ? [l.from] : []))])
  }, [over, lines])

  const [flowNodes, setFlowNodes, onNodesChange] = useNodesState<ServiceNode>([])
  useEffect(() => {
    if (positions === undefined) return
    setFlowNodes((old) => {
      const before = new Map(old.map((n) => [n.id, n]))
      return shown.flatMap((n): ServiceNode[] => {
        const at = positions.at[n.id]
        if (at === undefined) return []
        const kept = before.get(n.id)
        // Where somebody dragged it, until the layout is made anew.
        const position = kept && kept.data.type === n.type && positions === lastLayout.current ? kept.position : at
        const data = {
          name: n.label,
          type: n.type,
          href: n.type === 'service' ? href(servicePath(n.name)) : undefined,
          dimmed: near !== null && !near.has(n.id),
        }
        return [{ ...kept, id: n.id, type: 'service', position, data, width: nodeWidth, height: nodeHeight }]
      })
    })
    lastLayout.current = positions
  }, [shown, positions, near, href, setFlowNodes])
  const lastLayout = useRef<typeof positions>(undefined)

  const flowEdges = useMemo(() => {
    const css = getComputedStyle(document.querySelector(`[data-mantine-color-scheme=${scheme}]`) ?? document.documentElement)
    const color = (name: string) => css.getPropertyValue(name).trim()
    return lines.map(({ edge: e, from, to }): FlowEdge => {
      const share = e.calls === 0 ? 0 : e.failed / e.calls
      const kind = compare ? kindOf(e) : undefined
      const bad = kind === undefined && failing(share)
      const far = over !== null && from !== over && to !== over
      const named = over !== null && !far
      const stroke = color(kind === undefined ? (bad ? '--c-error' : '--edge') : kindColors[kind])
      return {
        id: edgeKey(e),
        source: from,
        target: to,
        style: {
          stroke,
          strokeWidth: kind && kind !== 'same' ? 2.5 : Math.min(4, 1 + Math.log10(1 + e.calls) / 2),
          opacity: far ? 0.12 : kind === 'same' && !named ? 0.4 : 1,
          ...(bad || kind === 'gone' ? { strokeDasharray: '6 3' } : {}),
        },
        markerEnd: { type: MarkerType.ArrowClosed, width: 12, height: 12, color: stroke, markerUnits: 'userSpaceOnUse' },
        label: labelOf(e, kind, named, bad, share),
        zIndex: bad || named || (kind !== undefined && kind !== 'same') ? 1 : 0,
      }
    })
  }, [lines, over, scheme, compare])

  if (tooMany) {
    return (
      <p className="quiet dim">
        {shown.length} nodes are too many to draw; filter to {most} or fewer. The table holds them all.
      </p>
    )
  }
  return (
    <section className="drawing" aria-label="Drawing of the service map; the table below holds the same edges">
      {positions !== undefined && (
        <ReactFlow
          key={positions.key}
          nodes={flowNodes}
          edges={flowEdges}
          nodeTypes={nodeTypes}
          onNodesChange={onNodesChange}
          onNodeMouseEnter={(_, n) => setOver(n.id)}
          onNodeMouseLeave={() => setOver(null)}
          colorMode={scheme}
          fitView
          fitViewOptions={{ padding: 0.04, maxZoom: 1.1 }}
          minZoom={0.2}
          maxZoom={2}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          zoomOnScroll={false}
          preventScrolling={false}
          disableKeyboardA11y
        >
          <Controls showInteractive={false} />
        </ReactFlow>
      )}
    </section>
  )
}

const kindColors: Record<Kind, string> = { added: '--c-green', gone: '--dim', changed: '--c-orange', same: '--edge' }

/** One change is written beside its edge, failures before latency; changes of the rate are many. All are read on hover. */
function labelOf(e: Edge, kind: Kind | undefined, named: boolean, bad: boolean, share: number): string | undefined {
  if (kind === undefined || (kind === 'same' && named)) {
    return named
      ? `${count(e.calls)} · p95 ${millis(e.server_p95_ms || e.client_p95_ms)} ms`
      : bad
        ? `${percent(share)} % failed`
        : undefined
  }
  const words = wordsOf(e)
  return named ? words.join(', ') : words.find((w) => !w.startsWith('rate'))
}

/** Positions of the newest topology that the worker has laid out; those before are kept while it works. */
function useLayout(nodes: GraphNode[], lines: GraphLine[]): { key: string; at: Positions } | undefined {
  const topology: Topology = {
    nodes: nodes.map((n) => n.id).sort(),
    edges: lines.map((l): [string, string] => [l.from, l.to]).sort((a, b) => (String(a) < String(b) ? -1 : 1)),
  }
  const key = JSON.stringify(topology)
  const [result, setResult] = useState<{ key: string; at: Positions }>()
  const worker = useRef<Worker | null>(null)
  useEffect(() => {
    const w = new Worker(new URL('./layout.worker.ts', import.meta.url), { type: 'module' })
    w.onmessage = (e: MessageEvent<{ key: string; positions: Positions }>) => setResult({ key: e.data.key, at: e.data.positions })
    worker.current = w
    return () => w.terminate()
  }, [])
  useEffect(() => {
    worker.current?.postMessage({ key, topology: JSON.parse(key) as Topology })
  }, [key])
  return result
}
