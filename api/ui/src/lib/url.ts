import { useCallback, useMemo } from 'react'
import { useSearchParams } from 'wouter'
import { paramOf, useDimensions } from './dimensions'
import { queryOfRange, type Range, rangeOfQuery } from './range'

/** One parameter of the URL as state. The default is left out of the URL; typing replaces history, choosing adds to it. */
export function useParam(name: string, initial = ''): [string, (value: string, replace?: boolean) => void] {
  const [params, setParams] = useSearchParams()
  const set = useCallback(
    (value: string, replace = true) => {
      setParams(
        (prev) => {
          const next = new URLSearchParams(prev)
          if (value === initial) next.delete(name)
          else next.set(name, value)
          return next
        },
        { replace },
      )
    },
    [setParams, name, initial],
  )
  return [params.get(name) ?? initial, set]
}

type Values<K extends string> = Partial<Record<K, string>>

/** Several parameters of the URL, set together: what is empty is left out. Setting them adds to history, unless it replaces. */
export function useParams<K extends string>(
  names: readonly K[],
): [Record<K, string>, (values: Values<K>, options?: { replace: boolean }) => void] {
  const [params, setParams] = useSearchParams()
  const set = useCallback(
    (values: Values<K>, options?: { replace: boolean }) => {
      setParams((prev) => {
        const next = new URLSearchParams(prev)
        for (const [k, v] of Object.entries(values) as [string, string][]) {
          if (v === '') next.delete(k)
          else next.set(k, v)
        }
        return next
      }, options)
    },
    [setParams],
  )
  const values = JSON.stringify(names.map((n) => [n, params.get(n) ?? '']))
  return [useMemo(() => Object.fromEntries(JSON.parse(values)) as Record<K, string>, [values]), set]
}

/** The time range of the page, which is in the URL. */
export function useRange(): [Range, (r: Range, options?: { replace: boolean }) => void] {
  const [params, setParams] = useSearchParams()
  const set = useCallback(
    (r: Range, options?: { replace: boolean }) =>
      setParams((prev) => {
        const next = new URLSearchParams(prev)
        for (const name of ['range', 'from', 'to']) next.delete(name)
        for (const [name, v] of Object.entries(queryOfRange(r))) next.set(name, v)
        return next
      }, options),
    [setParams],
  )
  return [rangeOfQuery(params), set]
}

/** A link to another page that keeps the range, and what the page is narrowed to. */
export function useHref(): (path: string, query?: Record<string, string>) => string {
  const [range] = useRange()
  const chosen = useDimensions()
  return useCallback(
    (path, query) => {
      const q = new URLSearchParams(Object.entries(query ?? {}).filter(([, v]) => v !== ''))
      if (!q.has('from')) for (const [name, v] of Object.entries(queryOfRange(range))) q.set(name, v)
      for (const [name, v] of Object.entries(chosen)) q.set(paramOf(name), v)
      const s = q.toString()
      return s ? `${path}?${s}` : path
    },
    [range, chosen],
  )
}

export const tracePath = (id: string): string => `/traces/${encodeURIComponent(id)}`
export const servicePath = (name: string): string => `/services/${encodeURIComponent(name)}`

/** The service that a page's path names. The router decodes only in part, which loses names with a slash or a per cent sign. */
export function serviceOfPath(path: string): string {
  const part = path.replace(/^\/(services|traces)\//, '')
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** A link into another program. Its address may hold a path and a query of its own. */
export function external(base: string, path: string, query: Record<string, string> = {}): string {
  const url = new URL(base)
  url.pathname = url.pathname.replace(/\/$/, '') + path
  for (const [k, v] of Object.entries(query)) url.searchParams.set(k, v)
  return url.toString()
}
