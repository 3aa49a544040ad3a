// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of dashboards are written so
import { expect, test } from 'vitest'
import type { DashboardVariable } from '../api/types'
import { fileOf, readFile } from './file'
import { blocksOf } from './markdown'
import { rowsOf } from './panel-table'
import { reduced, statWords, wordsOf } from './units'
import { allValues, filtered, interpolated, legendOf, scopeOf, titleWith, valuesOf } from './variables'

const variables: DashboardVariable[] = [
  { name: 'service', type: 'label', label: 'service_name', multi: true, all: true },
  { name: 'env', type: 'label', label: 'env' },
  { name: 'res', type: 'list', values: ['1m', '5m'] },
]
const scope = scopeOf(variables, { service: ['a.b', 'c'], env: ['prod "x"'], res: ['5m'] }, '1h')

test('variables in all spellings, and those that there are not', () => {
  expect(interpolated('x{s=~"$service", e="${env}"}[[[res]]]', scope)).toBe('x{s=~"(a\\\\.b|c)", e="prod \\"x\\""}[5m]')
  expect(interpolated('x[${res:raw}] $nothing [[no]] ${no:csv}', scope)).toBe('x[5m] $nothing [[no]] ${no:csv}')
  expect(interpolated('x{s=~"${service:pipe}"}', scope)).toBe('x{s=~"a.b|c"}')
  expect(titleWith('Of $service in [[env]]', scope)).toBe('Of a.b, c in prod "x"')
  const free = scopeOf([{ name: 'f', type: 'text', multi: true, all: true }], { f: ['a.*'] }, '1h')
  expect(interpolated('x{s=~"$f"}', free)).toBe('x{s=~"a.*"}')
  const all = scopeOf(variables, { service: [allValues] }, '1h')
  expect(interpolated('x{s=~"$service"}', all)).toBe('x{s=~".*"}')
  expect(titleWith('$service', all)).toBe('all')
  expect(interpolated('x{s=~"$service"}', scopeOf(variables, { service: ['a+b'] }, '1h'))).toBe('x{s=~"a\\\\+b"}')
})

test('the time range as durations and numbers', () => {
  expect(interpolated('rate(x[$__rate_interval])', scope)).toBe('rate(x[150s])')
  expect(interpolated('increase(x[$__range]) / $__range_s + $__interval_ms', scope)).toBe('increase(x[1h]) / 3600 + 15000')
  expect(interpolated('rate(x[$__rate_interval])', scopeOf([], {}, '7d'))).toBe('rate(x[3660s])')
})

test('values come from the URL, the default, all or the first that is offered', () => {
  const [service, env] = variables as [DashboardVariable, DashboardVariable]
  expect(valuesOf(service, ['a', 'b'], undefined)).toEqual(['a', 'b'])
  expect(valuesOf(env, ['a', 'b'], undefined)).toEqual(['a'])
  expect(valuesOf(service, [], ['x'])).toEqual([allValues])
  expect(valuesOf(env, [], ['x', 'y'])).toEqual(['x'])
  expect(valuesOf({ ...env, default: ['y'] }, [], ['x'])).toEqual(['y'])
  expect(filtered(['a:1', 'a:2', 'b', 'c:3'], '([^:]+):.*')).toEqual(['a', 'c'])
  expect(filtered(['a1', 'b'], '^a')).toEqual(['a'])
  expect(filtered(['a', 'b'], '(')).toEqual(['a', 'b'])
})

test('legends', () => {
  expect(legendOf('{{ job }} of $env, {{none}}', { job: 'x' }, scope)).toBe('x of prod "x", ')
})

test('values in their unit', () => {
  expect([0.123, -0.5].map(wordsOf('ratio'))).toEqual(['12.3%', '-50.0%'])
  expect(wordsOf('percent')(12.3)).toBe('12.3%')
  expect(wordsOf('bytes/s')(2048)).toBe('2 KiB/s')
  expect(wordsOf('seconds')(0.25)).toBe('250 ms')
  expect(wordsOf('per second')(1.5)).toBe('1.5/s')
  expect(['last', 'mean', 'max', 'min', 'sum', undefined].map((r) => reduced([4, null, 1, 1], r))).toEqual([1, 2, 4, 1, 6, 1])
  expect([reduced([null], 'max'), statWords(null, 'bytes')]).toEqual([null, '–'])
})

test('rows of a table join queries by their labels', () => {
  const rows = rowsOf([
    [
      { metric: { __name__: 'a', x: '1' }, value: [0, '1'] },
      { metric: { x: '2' }, value: [0, '2'] },
    ],
    [{ metric: { __name__: 'b', x: '1' }, value: [0, '3'] }],
  ])
  expect(rows.map((r) => [r.metric, r.values])).toEqual([
    [{ x: '1' }, [1, 3]],
    [{ x: '2' }, [2, Number.NaN]],
  ])
})

test('text has headings, lists, code and paragraphs', () => {
  expect(blocksOf('# A\nb\nc\n\n- d\n  e\n- f\n```\n# g\n```\nh').map((b) => [b.kind, b.lines])).toEqual([
    ['head', ['A']],
    ['text', ['b', 'c']],
    ['list', ['d e', 'f']],
    ['code', ['# g']],
    ['text', ['h']],
  ])
})

test('a file is read again, and another is not taken for one', () => {
  const d = { title: 'T', variables, panels: [] }
  expect(readFile(fileOf(d))).toEqual({ own: d })
  expect(readFile('{"panels": []}')).toEqual({ other: { panels: [] } })
  expect(readFile('[]')).toEqual({ wrong: 'This JSON is no dashboard.' })
  expect(readFile('{')).toHaveProperty('wrong')
})
