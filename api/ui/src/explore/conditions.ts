// Conditions on attributes as they are typed: http.route=/cart http.status_code>=500 db.statement~"select .* from" error exists

const operators = ['!=', '>=', '<=', '=', '~', '>', '<'] as const

export interface Condition {
  key: string
  op: (typeof operators)[number] | ''
  value: string
}

export interface Conditions {
  list: Condition[]
  /** What is wrong with the text, in words; the conditions are then not complete. */
  problem: string | undefined
}

const token = /\s*(?:([^\s=!~<>"]+)(?:\s+exists(?=\s|$)|\s*(!=|>=|<=|=|~|>|<)\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]\S*))?)?|(\S+))/y

/** Values with blanks stand in quotes; within them \" is a quote. A key alone, or with exists, accepts every value. Durations are keys whose values have units. */
export function parseConditions(text: string, durations: readonly string[] = []): Conditions {
  const list: Condition[] = []
  token.lastIndex = 0
  while (text.slice(token.lastIndex).trim() !== '') {
    const at = token.lastIndex
    const m = token.exec(text)
    if (m === null || m[5] !== undefined) return { list, problem: `"${text.slice(at).trim()}" is not a condition: write key=value.` }
    const [, key = '', op, quoted, plain] = m
    if (op === undefined) {
      list.push({ key, op: '', value: '' })
      continue
    }
    const value = quoted?.replace(/\\(["\\])/g, '$1') ?? plain
    if (value === undefined) return { list, problem: `"${key}${op}" lacks a value.` }
    const problem = durations.includes(key) ? undefined : problemOf(key, op, value)
    if (problem !== undefined) return { list, problem }
    list.push({ key, op: op as Condition['op'], value })
  }
  return { list, problem: undefined }
}

function problemOf(key: string, op: string, value: string): string | undefined {
  if (/[<>]/.test(op) && (value.trim() === '' || Number.isNaN(Number(value)))) {
    return `${key}${op}${value}: "${value}" is not a number. ${op} compares numbers; use = or ~ for text.`
  }
  return undefined
}

/** As the server takes them. */
export const paramOf = (c: Condition): string => `${c.key}${c.op}${c.value}`

export function textOf(list: readonly Condition[]): string {
  return list
    .map((c) => `${c.key}${c.op}${c.op !== '' && /^$|[\s"]/.test(c.value) ? `"${c.value.replace(/(["\\])/g, '\\$1')}"` : c.value}`)
    .join(' ')
}
