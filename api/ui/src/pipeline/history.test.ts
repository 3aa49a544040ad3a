import { expect, test } from 'vitest'
import { linesOf } from './history'

test('the step under way is left out, and what is not known stays a gap', () => {
  const h = {
    step_s: 10,
    reaches_s: 86_400,
    times: [100, 110, 120],
    topics: [{ topic: 'otlp_spans', lag: [3, null, 5], behind_ms: [1500, null, 0], records_per_s: [null, 20, 30] }],
    spans_per_s: [1, 2, 3],
    lines_per_s: [null, null, null],
    points_per_s: [0, 0, 0],
    disk_bytes: [7, 8, 9],
  }
  const shown = linesOf(h, 125_000)
  expect(shown.times).toEqual([100, 110])
  expect(shown.lag.map((l) => [l.label, l.values])).toEqual([['otlp_spans', [3, null]]])
  expect(shown.behind[0]?.values).toEqual([1.5, null])
  expect(shown.counted.map((l) => l.values)).toEqual([
    [1, 2],
    [null, null],
    [0, 0],
  ])
  expect(linesOf(h, 130_000).times).toEqual([100, 110, 120])
})
