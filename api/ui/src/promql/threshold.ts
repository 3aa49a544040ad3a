/** A condition that compares a value with a number. */
export interface Comparison {
  /** The value's side. */
  expr: string
  /** As if the number stood at the right. */
  op: string
  threshold: number
  /** Where the number stands in the text. */
  from: number
  to: number
}

const operator = /^(==|!=|>=|<=|>|<)(\s*bool\b)?\s*/
const number = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i
const turned: Record<string, string> = { '>': '<', '<': '>', '>=': '<=', '<=': '>=' }

/** The parts of a condition that as a whole compares with a number, as the backtest's thresholds take it; undefined for others. */
export function comparisonOf(text: string): Comparison | undefined {
  return within(text, 0, text.length)
}

function within(text: string, begin: number, end: number): Comparison | undefined {
  const [from, to] = trimmed(text, begin, end)
  let depth = 0
  let closed = -1 // where the parenthesis that opens the text is closed
  let found: { at: number; op: string; after: number } | undefined
  for (let i = from; i < to; i++) {
    const c = text[i] as string
    if (c === '"' || c === "'" || c === '`') i = endOfString(text, i, c)
    else if (c === '#') i = endOfLine(text, i)
    else if ('([{'.includes(c)) depth++
    else if (')]}'.includes(c)) {
      depth--
      if (depth === 0 && closed < 0 && text[from] === '(') closed = i
    } else if (depth === 0) {
      const rest = text.slice(i, to)
      if (/^(and|or|unless)\b/i.test(rest) && !/[\w:.]/.test(text[i - 1] ?? ' ')) return undefined
      const m = operator.exec(rest)
      if (m === null) continue
      if (found !== undefined) return undefined
      found = { at: i, op: m[1] as string, after: i + m[0].length }
      i = found.after - 1
    }
  }
  if (found === undefined) return text[from] === '(' && closed === to - 1 ? within(text, from + 1, to - 1) : undefined
  const [left, right] = [numberOf(text, from, found.at), numberOf(text, found.after, to)]
  const n = right ?? left
  if (n === undefined) return undefined
  return right === undefined
    ? { expr: text.slice(found.after, to).trim(), op: turned[found.op] ?? found.op, ...n }
    : { expr: text.slice(from, found.at).trim(), op: found.op, ...n }
}

/** Without the white space and the comments around it. */
function trimmed(text: string, begin: number, end: number): [number, number] {
  let [from, to] = [begin, end]
  for (;;) {
    while (from < to && /\s/.test(text[from] as string)) from++
    if (from >= to || text[from] !== '#') break
    from = Math.min(to, endOfLine(text, from) + 1)
  }
  for (let i = from; i < to; i++) {
    const c = text[i] as string
    if (c === '"' || c === "'" || c === '`') i = endOfString(text, i, c)
    else if (c === '#') {
      const line = endOfLine(text, i)
      if (/^(\s|#.*)*$/.test(text.slice(line, to))) to = i
      i = line
    }
  }
  while (to > from && /\s/.test(text[to - 1] as string)) to--
  return [from, to]
}

function numberOf(text: string, begin: number, end: number): { threshold: number; from: number; to: number } | undefined {
  let [from, to] = trimmed(text, begin, end)
  while (text[from] === '(' && text[to - 1] === ')') [from, to] = trimmed(text, from + 1, to - 1)
  const word = text.slice(from, to)
  return number.test(word) ? { threshold: Number(word), from, to } : undefined
}

function endOfString(text: string, from: number, quote: string): number {
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === '\\' && quote !== '`') i++
    else if (text[i] === quote) return i
  }
  return text.length
}

function endOfLine(text: string, from: number): number {
  const at = text.indexOf('\n', from)
  return at < 0 ? text.length : at
}

/** The number that a condition compares with; undefined where it does not. */
export const thresholdOf = (expr: string): number | undefined => comparisonOf(expr)?.threshold

/** The condition with another number; everything else stays as it was written. */
export function withThreshold(expr: string, threshold: number): string {
  const c = comparisonOf(expr)
  return c === undefined ? expr : expr.slice(0, c.from) + tidy(threshold) + expr.slice(c.to)
}

/** A number without the noise of binary fractions. */
export const tidy = (n: number): number => Number(n.toPrecision(4))

/** A step of about a hundredth of a scale: 1, 2 or 5 times a power of ten. */
export function stepOf(size: number): number {
  const rough = (size > 0 && Number.isFinite(size) ? size : 1) / 100
  const power = 10 ** Math.floor(Math.log10(rough))
  const times = rough / power
  return Number(((times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10) * power).toPrecision(1))
}

/** The expression without its strings, its label matchers and its comments, in which operators would be mistaken for its own. */
function bareOf(expr: string): string {
  const out = expr.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|#[^\n]*/g, (m) => (m.startsWith('#') ? '' : '""'))
  return out.replace(/\{[^}]*\}/g, '')
}

/** Whether an expression compares anything. */
export const compares = (expr: string): boolean => /[<>]|[=!]=/.test(bareOf(expr))

/** The expression with a comparison at its end, somewhat above what was seen. */
export function withNumber(expr: string, seen: number): string {
  const bare = bareOf(expr)
  const loose = /[<>=!]|\b(and|or|unless)\b/i.test(bare) || expr.includes('#')
  return `${loose ? `(\n${expr.trim()}\n)` : expr.trim()} > ${tidy(seen > 0 ? Number((seen * 1.1).toPrecision(2)) : 1)}`
}
