import { useMemo, useRef } from 'react'
import type { Trace } from '../src/api/types'
import { logTimes } from '../src/trace/bars'
import { servicesOf } from '../src/trace/colors'
import { SpanPanel } from '../src/trace/panel'
import { type RowData, Rows, type Show } from '../src/trace/rows'
import { treeOf } from '../src/trace/tree'
import recorded from './data/trace.json'
import '../src/trace/trace.css'
import '../src/trace/panel.css'

const trace = recorded as unknown as Trace
const tree = treeOf(trace)
const nothing = () => {}
const origin = tree.nodes.find((n) => n.origin) ?? tree.nodes[0]

export function TraceRows() {
  const show = useRef<Show | null>(null)
  const data = useMemo(
    (): RowData => ({
      rows: tree.nodes,
      isFolded: (n) => n.index === 3,
      isMatch: (n) => n.index === 5,
      cursor: tree.nodes[2],
      opened: origin,
      window: { from: 0, to: tree.duration },
      coloring: { by: 'service', services: servicesOf(tree), rank: (n) => (n.index % 5 === 0 ? undefined : 0.83) },
      self: (n) => n.span.duration / 2,
      sections: (index) => (index % 2 === 0 ? [[tree.nodes[index]?.offset ?? 0, (tree.nodes[index]?.offset ?? 0) + 2000]] : []),
      logs: logTimes(
        tree.nodes.slice(0, 12).map((n) => ({
          span_id: n.span.spanID,
          time: new Date((n.span.startTime + n.span.duration * 0.6) / 1000).toISOString(),
          severity: n.failed ? 'ERROR' : 'INFO',
        })),
        tree.start,
      ),
      onToggle: nothing,
      onOpen: nothing,
    }),
    [],
  )
  if (origin === undefined) return null
  return (
    <div className="tv tv-with-panel">
      <section className="tv-card" aria-label="Trace">
        <Rows data={data} show={show} />
      </section>
      <SpanPanel
        node={origin}
        tree={tree}
        trace={trace}
        self={12_300}
        critical={4_200}
        rank={0.83}
        baseline={undefined}
        lines={[]}
        moreLines={false}
        onClose={nothing}
      />
    </div>
  )
}
