import { describe, expect, test } from 'vitest'
import { parses } from '../promql/names'
import { comparisonOf } from '../promql/threshold'
import { type Draft, emptyDraft, pair, ruleOf } from './draft'
import { templates } from './templates'
import { draftOfYaml, yamlOf } from './yaml'

const rest = { enabled: false, group: 'shop' }

describe('a rule goes to YAML and back', () => {
  const full: Draft = {
    ...emptyDraft(),
    ...rest,
    name: 'Many: errors',
    expr: 'sum by (a) (rate(b{c="d # e"}[5m]))\n  > 0.5',
    for: '1m',
    keep: '10m',
    labels: [pair('severity', 'page'), pair('on', 'yes'), pair('n', '007')],
    annotations: [pair('summary', '{{ $value | humanize }}: "x"\nand more')],
  }
  test.each([
    full,
    { ...emptyDraft(), ...rest },
    { ...full, expr: '1e3', for: '', labels: [], annotations: [] },
    ...templates.map((t) => ({ ...t.draft(), ...rest })),
  ])('%#', (d) => expect(ruleOf(draftOfYaml(yamlOf(d), rest))).toEqual(ruleOf(d)))
})

test('the text is as Prometheus has it', () => {
  expect(yamlOf({ ...emptyDraft(), name: 'A', expr: 'a\n  > 1', annotations: [] })).toBe(
    'alert: A\nexpr: |-\n  a\n    > 1\nfor: 1m\nlabels:\n  severity: warning\n',
  )
})

test('a list and a file with one rule are read too', () => {
  const one = 'alert: A\nexpr: up == 0'
  const want = ruleOf(draftOfYaml(one, rest))
  expect(want).toMatchObject({ name: 'A', expr: 'up == 0', enabled: false, group: 'shop' })
  expect(ruleOf(draftOfYaml('- alert: A\n  expr: up == 0', rest))).toEqual(want)
  expect(ruleOf(draftOfYaml('groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: up == 0', rest))).toEqual(want)
})

test.each([
  ['- alert: A\n- alert: B', 'Line 1: Give one rule. There are 2.'],
  ['alert: A\nrecord: x', 'Line 2: This is a recording rule. Here are alerting rules only.'],
  ['alert: A\nexpression: x', 'Line 2: There is no field expression.'],
  ['alert: A\nexpr: [1]', 'Line 2: expr is a text.'],
  ['alert: A\nlabels: x', 'Line 2: labels are names with texts.'],
  ['alert: A\nlabels:\n  a: [1]', 'Line 3: Each of the labels is a text.'],
  ['', 'A rule has the fields alert and expr.'],
])('%j is no rule', (text, message) => expect(() => draftOfYaml(text, rest)).toThrow(message))

test('a text that is no YAML has its line', () => {
  expect(() => draftOfYaml('alert: A\nexpr: "a', rest)).toThrow(/^Line \d: /)
})

test.each(templates.map((t) => [t.label, t.draft()] as const))('the template %s is PromQL', (_, d) => {
  expect(parses(d.expr)).toBe(true)
})

test('the thresholds of the simple templates can be drawn', () => {
  expect(templates.map((t) => comparisonOf(t.draft().expr)?.threshold)).toEqual([0.05, 500, 0.5, undefined, undefined])
})
