import { expect, test } from 'vitest'
import { analyze, type Timing } from './analysis'

/** Spans as [parent, start, end], in the order of the tree. */
function timing(spans: [parent: number, start: number, end: number, async?: boolean][]): Timing {
  return {
    parent: Int32Array.from(spans, (s) => s[0]),
    start: Float64Array.from(spans, (s) => s[1]),
    end: Float64Array.from(spans, (s) => s[2]),
    async: Uint8Array.from(spans, (s) => (s[3] ? 1 : 0)),
  }
}

function path(t: Timing): string[] {
  const a = analyze(t)
  return [...a.sectionSpan].map((s, i) => `${s}:${a.sectionFrom[i]}-${a.sectionTo[i]}`)
}
const self = (t: Timing) => [...analyze(t).self]

test('children one after the other are all on the critical path, gaps are the parent’s', () => {
  const t = timing([
    [-1, 0, 100],
    [0, 10, 30],
    [0, 40, 90],
  ])
  expect(path(t)).toEqual(['0:0-10', '0:30-40', '0:90-100', '1:10-30', '2:40-90'])
  expect(self(t)).toEqual([30, 20, 50])
  expect([...analyze(t).critical]).toEqual([30, 20, 50])
})

test('of children at the same time the one that finished last is on it', () => {
  const t = timing([
    [-1, 0, 100],
    [0, 10, 60],
    [0, 20, 90],
    [2, 30, 80],
  ])
  // Child 1 had not finished when child 2 began, so what is before is the parent's.
  expect(path(t)).toEqual(['0:0-20', '0:90-100', '2:20-30', '2:80-90', '3:30-80'])
  expect(self(t)).toEqual([20, 50, 20, 50])
})

test('children that touch leave no gap between them', () => {
  const t = timing([
    [-1, 0, 20],
    [0, 0, 10],
    [0, 10, 20],
  ])
  expect(path(t)).toEqual(['1:0-10', '2:10-20'])
  expect(self(t)).toEqual([0, 10, 10])
})

test('a child that goes on after its parent counts up to the parent’s end', () => {
  const t = timing([
    [-1, 0, 100],
    [0, 50, 300],
    [1, 60, 250],
  ])
  expect(path(t)).toEqual(['0:0-50', '1:50-60', '2:60-100'])
  expect(self(t)).toEqual([50, 60, 190])
})

test('nobody waits for a message, nor for what is below it', () => {
  const t = timing([
    [-1, 0, 100],
    [0, 10, 20, true],
    [1, 12, 95],
    [0, 30, 50],
  ])
  expect(path(t)).toEqual(['0:0-30', '0:50-100', '3:30-50'])
})

test('a skewed clock: a child before its parent is cut, one wholly outside is left out', () => {
  const t = timing([
    [-1, 100, 200],
    [0, 20, 40],
    [1, 25, 35],
    [0, 80, 130],
    [0, 250, 260],
  ])
  expect(path(t)).toEqual(['0:130-200', '3:100-130'])
  expect(self(t)).toEqual([70, 10, 10, 50, 10])
})

test('each span at the top has a path of its own', () => {
  const t = timing([
    [-1, 0, 10],
    [-1, 50, 60],
    [1, 52, 58],
  ])
  expect(path(t)).toEqual(['0:0-10', '1:50-52', '1:58-60', '2:52-58'])
})

test('spans without duration, no spans at all, and a very deep trace', () => {
  expect(path(timing([[-1, 5, 5]]))).toEqual([])
  expect(path(timing([]))).toEqual([])
  const n = 90_000
  const deep = timing(Array.from({ length: n }, (_, i): [number, number, number] => [i - 1, i, 2 * n - i]))
  expect(analyze(deep).critical[n - 1]).toBe(2)
  expect(analyze(deep).sectionSpan.length).toBe(2 * n - 1)
})

test('the path covers the time of the trace once', () => {
  let seed = 7
  const random = () => {
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed / 2147483648
  }
  const spans: [number, number, number][] = [[-1, 0, 1e6]]
  const grow = (parent: number, from: number, to: number, depth: number) => {
    const starts = Array.from({ length: Math.floor(random() * 5) }, () => from + random() * (to - from)).sort((a, b) => a - b)
    for (const start of starts) {
      const end = start + random() * (to - start)
      spans.push([parent, start, end])
      if (depth < 6) grow(spans.length - 1, start, end, depth + 1)
    }
  }
  grow(0, 0, 1e6, 0)
  const a = analyze(timing(spans))
  expect(spans.length).toBeGreaterThan(50)
  expect(a.critical.reduce((x, y) => x + y, 0)).toBeCloseTo(1e6, 3)
  const sections = [...a.sectionFrom].map((from, i) => [from, a.sectionTo[i] as number] as const).sort((x, y) => x[0] - y[0])
  for (let i = 1; i < sections.length; i++) expect(sections[i]?.[0]).toBeCloseTo(sections[i - 1]?.[1] ?? -1, 6)
})
