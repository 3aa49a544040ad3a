/** A condition in two parts: what it looks at, and the number that it is compared with. */
export interface Condition {
  expr: string
  op: string
  threshold: number
}

const comparison = /^(==|!=|>=|<=|>|<)\s*/

/** Splits `expr > number`; undefined where a condition is of another shape. */
export function splitCondition(text: string): Condition | undefined {
  let depth = 0
  let found: { at: number; op: string; length: number } | undefined
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string
    if (c === '"' || c === "'" || c === '`') {
      i = endOfString(text, i, c)
      continue
    }
    if ('([{'.includes(c)) depth++
    else if (')]}'.includes(c)) depth--
    else if (depth === 0) {
      if (/^(and|or|unless)\b/i.test(text.slice(i)) && /[\s)]/.test(text[i - 1] ?? ' ')) return undefined
      const m = comparison.exec(text.slice(i))
      if (m) {
        if (found !== undefined) return undefined
        found = { at: i, op: m[1] as string, length: m[0].length }
        i += m[0].length - 1
      }
    }
  }
  if (found === undefined) return undefined
  const right = text.slice(found.at + found.length).trim()
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(right)) return undefined
  return { expr: text.slice(0, found.at).trim(), op: found.op, threshold: Number(right) }
}

function endOfString(text: string, from: number, quote: string): number {
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === '\\' && quote !== '`') i++
    else if (text[i] === quote) return i
  }
  return text.length
}
