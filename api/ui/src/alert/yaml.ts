import { Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, Scalar, stringify } from 'yaml'
import { type Draft, type Pair, pair, ruleOf } from './draft'

/** A rule as Prometheus' rule files have it. What a file cannot say, that it is off and in which group it is, is left out. */
export function yamlOf(draft: Draft): string {
  const r = ruleOf(draft)
  const doc = new Document({
    alert: r.name,
    expr: r.expr,
    ...(r.for ? { for: r.for } : {}),
    ...(r.keep_firing_for ? { keep_firing_for: r.keep_firing_for } : {}),
    ...(r.labels ? { labels: r.labels } : {}),
    ...(r.annotations ? { annotations: r.annotations } : {}),
  })
  const expr = doc.get('expr', true)
  if (isScalar(expr) && r.expr.includes('\n')) expr.type = Scalar.BLOCK_LITERAL
  return stringify(doc, { lineWidth: 0 })
}

/** What is wrong with a text, and in which line. */
export class YamlError extends Error {
  constructor(
    message: string,
    readonly line: number | undefined,
  ) {
    super(line === undefined ? message : `Line ${line}: ${message}`)
    this.name = 'YamlError'
  }
}

const texts = new Set(['alert', 'expr', 'for', 'keep_firing_for'])
const maps = new Set(['labels', 'annotations'])

/** The fields of a rule that is written as YAML: one alone, as a list, or as a file with one group and one rule. */
export function draftOfYaml(text: string, rest: Pick<Draft, 'enabled' | 'group'>): Draft {
  const lines = new LineCounter()
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const lineOf = (n: unknown) => {
    const at = (n as Node | null)?.range?.[0]
    return at === undefined ? undefined : lines.linePos(at).line
  }
  const fail = (message: string, n?: unknown): never => {
    throw new YamlError(message, lineOf(n))
  }
  const first = doc.errors[0]
  if (first) throw new YamlError(first.message, lines.linePos(first.pos[0]).line)
  const only = (n: unknown, what: string): unknown => {
    if (!isSeq(n)) return n
    return n.items.length === 1 ? n.items[0] : fail(`Give one ${what}. There are ${n.items.length}.`, n)
  }
  let rule: unknown = doc.contents
  if (isMap(rule) && rule.has('groups')) rule = only(rule.get('groups', true), 'group')
  if (isMap(rule) && rule.has('rules')) rule = rule.get('rules', true)
  rule = only(rule, 'rule')
  if (!isMap(rule)) return fail('A rule has the fields alert and expr.', rule)
  const out: Draft = { name: '', expr: '', for: '', keep: '', labels: [], annotations: [], ...rest }
  for (const { key, value } of rule.items) {
    const name = String(isScalar(key) ? key.value : key)
    if (name === 'record') return fail('This is a recording rule. Here are alerting rules only.', key)
    if (texts.has(name)) {
      const v = isScalar(value) ? value : fail(`${name} is a text.`, key)
      // As it was written: 1e3 is an expression, not the number 1000.
      const t = v.value === null ? '' : typeof v.value === 'string' ? v.value : (v.source ?? String(v.value))
      if (name === 'alert') out.name = t
      else if (name === 'expr') out.expr = t.trim()
      else if (name === 'for') out.for = t
      else out.keep = t
    } else if (maps.has(name)) {
      const pairs: Pair[] = []
      if (isMap(value))
        for (const p of value.items) {
          const v = isScalar(p.value) ? p.value : fail(`Each of the ${name} is a text.`, p.key)
          pairs.push(pair(String(isScalar(p.key) ? p.key.value : p.key), typeof v.value === 'string' ? v.value : (v.source ?? '')))
        }
      else if (value !== null && !(isScalar(value) && value.value === null)) fail(`${name} are names with texts.`, key)
      if (name === 'labels') out.labels = pairs
      else out.annotations = pairs
    } else fail(`There is no field ${name}.`, key)
  }
  return out
}
