// The critical path and the self times of a trace, from plain arrays, so that a worker can compute them.

/** The spans in the order of the tree: parents before their children, siblings by start. Times in microseconds. */
export interface Timing {
  parent: Int32Array // -1: a span at the top
  start: Float64Array
  end: Float64Array
  /** 1: the parent does not wait for this span, because it sends or receives a message. */
  async: Uint8Array
}

export interface Analysis {
  /** Time of each span in which none of its children ran. */
  self: Float64Array
  /** Time of each span on the critical path. */
  critical: Float64Array
  /** The sections of the critical path: sectionSpan[i] holds it from sectionFrom[i] to sectionTo[i]. Ordered by span, then by time. */
  sectionSpan: Int32Array
  sectionFrom: Float64Array
  sectionTo: Float64Array
}

export function analyze(t: Timing): Analysis {
  return { self: selfTimes(t), ...criticalPath(t) }
}

/** A child that overlaps another or lasts longer than its parent takes each moment of the parent once. */
export function selfTimes({ parent, start, end }: Timing): Float64Array {
  const n = parent.length
  const self = new Float64Array(n)
  const covered = new Float64Array(n) // up to where children were counted
  for (let i = 0; i < n; i++) {
    self[i] = at(end, i) - at(start, i)
    covered[i] = at(start, i)
    const p = at(parent, i)
    if (p < 0) continue
    const from = Math.max(at(start, i), at(covered, p))
    const to = Math.min(at(end, i), at(end, p))
    if (to <= from) continue
    self[p] = at(self, p) - (to - from)
    covered[p] = to
  }
  return self
}

/**
 * The critical path as Jaeger defines it: from the end of the span at the top back to the child that finished last, through that
 * child in the same way, and on from its start to the child that finished last before it. Children are cut to the time of their
 * parents; those wholly outside, and spans that nobody waits for, are not on it.
 */
export function criticalPath(t: Timing): Omit<Analysis, 'self'> {
  const n = t.parent.length
  const { from, to, kept } = clip(t)
  const { first, children } = childrenByEnd(t.parent, to, kept)
  const time = new Float64Array(n) // up to where the path is known, going back
  const next = new Int32Array(n) // the child to look at next
  const spans: number[] = []
  const starts: number[] = []
  const ends: number[] = []
  const critical = new Float64Array(n)
  const add = (i: number, a: number, b: number) => {
    if (b <= a) return
    spans.push(i)
    starts.push(a)
    ends.push(b)
    critical[i] = at(critical, i) + b - a
  }
  const stack: number[] = []
  const enter = (i: number) => {
    stack.push(i)
    time[i] = at(to, i)
    next[i] = at(first, i)
  }
  for (let root = 0; root < n; root++) {
    if (at(t.parent, root) >= 0) continue
    enter(root)
    for (let i = stack.at(-1); i !== undefined; i = stack.at(-1)) {
      let k = at(next, i)
      const last = at(first, i + 1)
      while (k < last && at(to, at(children, k)) > at(time, i)) k++
      next[i] = k + 1
      if (k >= last) {
        add(i, at(from, i), at(time, i))
        stack.pop()
        continue
      }
      const child = at(children, k)
      add(i, at(to, child), at(time, i))
      time[i] = at(from, child)
      enter(child)
    }
  }
  const order = Int32Array.from(spans.keys()).sort((a, b) => (spans[a] ?? 0) - (spans[b] ?? 0) || (starts[a] ?? 0) - (starts[b] ?? 0))
  return {
    critical,
    sectionSpan: Int32Array.from(order, (i) => spans[i] ?? 0),
    sectionFrom: Float64Array.from(order, (i) => starts[i] ?? 0),
    sectionTo: Float64Array.from(order, (i) => ends[i] ?? 0),
  }
}

/** Each span cut to the time of its parent; not kept is what lies outside of it, and what nobody waits for. */
function clip({ parent, start, end, async }: Timing): { from: Float64Array; to: Float64Array; kept: Uint8Array } {
  const n = parent.length
  const from = Float64Array.from(start)
  const to = Float64Array.from(end)
  const kept = new Uint8Array(n).fill(1)
  for (let i = 0; i < n; i++) {
    const p = at(parent, i)
    if (p < 0) continue
    from[i] = Math.max(at(start, i), at(from, p))
    to[i] = Math.min(at(end, i), at(to, p))
    const outside = at(start, i) >= at(to, p) || at(end, i) <= at(from, p)
    if (at(kept, p) === 0 || at(async, i) === 1 || outside) kept[i] = 0
  }
  return { from, to, kept }
}

/** The children of span i that are kept are children[first[i]] to children[first[i + 1] - 1], the one that ends last first. */
function childrenByEnd(parent: Int32Array, to: Float64Array, kept: Uint8Array): { first: Int32Array; children: Int32Array } {
  const n = parent.length
  const first = new Int32Array(n + 1)
  const isChild = (i: number) => at(parent, i) >= 0 && at(kept, i) === 1
  for (let i = 0; i < n; i++) if (isChild(i)) first[at(parent, i) + 1] = at(first, at(parent, i) + 1) + 1
  for (let i = 0; i < n; i++) first[i + 1] = at(first, i + 1) + at(first, i)
  const place = first.slice()
  const children = new Int32Array(at(first, n))
  for (let i = 0; i < n; i++) {
    if (!isChild(i)) continue
    const p = at(parent, i)
    children[at(place, p)] = i
    place[p] = at(place, p) + 1
  }
  for (let i = 0; i < n; i++) {
    if (at(first, i + 1) - at(first, i) > 1)
      children.subarray(at(first, i), at(first, i + 1)).sort((a, b) => at(to, b) - at(to, a) || a - b)
  }
  return { first, children }
}

function at(list: Int32Array | Float64Array | Uint8Array, i: number): number {
  return list[i] as number
}
