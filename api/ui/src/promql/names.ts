import { parser } from '@prometheus-io/lezer-promql'

export interface Named {
  name: string
  from: number
  to: number
}

/** The metrics that an expression names, with their places; a regular expression names none. */
export function metricsOf(expr: string): Named[] {
  const out: Named[] = []
  const add = (name: string, from: number, to: number) => {
    if (name !== '') out.push({ name, from, to })
  }
  parser.parse(expr).iterate({
    enter: (n) => {
      if (n.name === 'Identifier' && n.node.parent?.name === 'VectorSelector') add(expr.slice(n.from, n.to), n.from, n.to)
      else if (n.name === 'UnquotedLabelMatcher') {
        const text = expr.slice(n.from, n.to)
        const m = /^__name__\s*=\s*(["'`])(.*)\1$/s.exec(text)
        if (m !== null) add(m[2] as string, n.to - 1 - (m[2] as string).length, n.to - 1)
      } else if (n.name === 'QuotedLabelName' && n.node.parent?.name === 'LabelMatchers')
        add(expr.slice(n.from + 1, n.to - 1), n.from + 1, n.to - 1)
      return undefined
    },
  })
  return out
}

/** Whether the whole text is PromQL. */
export function parses(expr: string): boolean {
  let whole = expr.trim() !== ''
  parser.parse(expr).iterate({
    enter: (n) => {
      if (n.type.isError) whole = false
      return whole ? undefined : false
    },
  })
  return whole
}
