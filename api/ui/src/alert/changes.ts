import type { RuleInput } from '../api/types'

export interface Change {
  field: string
  before: string
  after: string
}

/** How one version of a rule differs from another, field by field; empty where it has none. */
export function changesOf(before: RuleInput, after: RuleInput): Change[] {
  const out: Change[] = []
  const add = (field: string, a = '', b = '') => {
    if (a !== b) out.push({ field, before: a, after: b })
  }
  add('Name', before.name, after.name)
  add('Condition', before.expr, after.expr)
  add('For', before.for, after.for)
  add('Keep firing for', before.keep_firing_for, after.keep_firing_for)
  for (const [word, a, b] of [
    ['Label', before.labels ?? {}, after.labels ?? {}],
    ['Annotation', before.annotations ?? {}, after.annotations ?? {}],
  ] as const)
    for (const k of [...new Set([...Object.keys(a), ...Object.keys(b)])].sort()) add(`${word} ${k}`, a[k], b[k])
  add('Enabled', before.enabled === false ? 'no' : 'yes', after.enabled === false ? 'no' : 'yes')
  add('Group', before.group, after.group)
  return out
}
