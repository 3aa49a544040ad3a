/** The id of a trace in a text: bare, as a UUID, in a link to a trace, or in a traceparent header. */
export function traceIDOf(text: string): string | undefined {
  const t = text.trim()
  const parent = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/i.exec(t)
  const path = /\/traces?\/([0-9a-f]{1,32})(?:[/?#]|$)/i.exec(t)
  const id = (parent?.[1] ?? path?.[1] ?? t.replace(/-/g, '')).toLowerCase()
  return /^[0-9a-f]{1,32}$/.test(id) ? id : undefined
}
