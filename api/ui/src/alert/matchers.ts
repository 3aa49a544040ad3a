import type { Matcher, SilenceInput } from '../api/types'

/** Whether an alert has all of some labels, as a silence made of them asks. */
export function matches(labels: Readonly<Record<string, string>>, of: Readonly<Record<string, string>>): boolean {
  return Object.entries(labels).every(([n, v]) => (of[n] ?? '') === v)
}

/** A silence of alerts with these labels, from now (ms) on. */
export function silenceOf(
  labels: Readonly<Record<string, string>>,
  now: number,
  seconds: number,
  createdBy: string,
  comment: string,
): SilenceInput {
  return {
    matchers: Object.entries(labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true })),
    startsAt: new Date(now).toISOString(),
    endsAt: new Date(now + seconds * 1000).toISOString(),
    createdBy,
    comment,
  }
}

/** A matcher as Alertmanager writes it. */
export function matcherText(m: Matcher): string {
  const op = m.isRegex ? (m.isEqual ? '=~' : '!~') : m.isEqual ? '=' : '!='
  return `${m.name}${op}"${m.value}"`
}
