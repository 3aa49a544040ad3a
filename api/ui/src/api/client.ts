import { syncClock } from '../lib/clock'
import { narrowing } from '../lib/dimensions'
import type { Problem } from './types'

/** What the server said when it did not answer: its own words, and what it advises. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly advice: string,
  ) {
    super(message)
    this.name = 'ApiError'
  }
}

/** Tells that the server does not know, or no longer knows, who asks. */
export const strangers = new EventTarget()

/** A list is sent as one parameter for each item. */
export type Query = Record<string, string | number | readonly string[] | undefined>

/** A path with its parameters, and with those that narrow the whole page. */
export function pathWith(path: string, query: Query = {}): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries({ ...query, ...narrowing(path) })) {
    if (typeof v === 'object') for (const one of v) q.append(k, one)
    else if (v !== undefined && v !== '') q.set(k, String(v))
  }
  const s = q.toString()
  return s ? `${path}?${s}` : path
}

export function getJSON<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return ask<T>(pathWith(path, query), { signal: signal ?? null })
}

/** As getJSON, with the tag of the version: a change that sends it replaces that version only. */
export async function getTagged<T>(path: string, signal?: AbortSignal): Promise<{ body: T; tag: string }> {
  let tag = ''
  const body = await ask<T>(pathWith(path), { signal: signal ?? null }, (h) => {
    tag = h.get('ETag') ?? ''
  })
  return { body, tag }
}

/** Asks for something to be done. An answer without content is undefined. */
export function sendJSON<T>(
  method: 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  headers: Record<string, string> = {},
): Promise<T> {
  const init: RequestInit = { method, signal: signal ?? null, headers }
  if (body === undefined) return ask<T>(path, init)
  return ask<T>(path, { ...init, body: JSON.stringify(body), headers: { ...headers, 'Content-Type': 'application/json' } })
}

async function ask<T>(url: string, init: RequestInit, onHeaders?: (h: Headers) => void): Promise<T> {
  let res: Response
  try {
    res = await fetch(url, { ...init, headers: { Accept: 'application/json', 'X-Requested-With': 'page', ...init.headers } })
  } catch (err) {
    if (err instanceof DOMException && err.name === 'AbortError') throw err
    throw new ApiError(0, 'unreachable', 'WatchingCat does not answer', 'The page keeps trying.')
  }
  syncClock(res.headers.get('Date'))
  if (res.status === 401) strangers.dispatchEvent(new Event('met'))
  if (res.ok) {
    onHeaders?.(res.headers)
    const text = await res.text()
    return (text === '' ? undefined : JSON.parse(text)) as T
  }
  let problem: Partial<Problem> = {}
  try {
    problem = (await res.json()) as Partial<Problem>
  } catch {
    // the answer of something between us and WatchingCat
  }
  throw new ApiError(res.status, problem.code ?? 'http', problem.detail ?? `HTTP ${res.status} ${res.statusText}`, problem.advice ?? '')
}
