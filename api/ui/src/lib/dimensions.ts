import { useMemo } from 'react'
import { useSearchParams } from 'wouter'

/** Values of dimensions, by name: what the whole page is narrowed to. */
export type Dimensions = Record<string, string>

const param = /^filter\[(.+)\]$/

/** Parameters of the URL that narrow the page begin so. */
export const paramPrefix = 'filter['

export const paramOf = (name: string): string => `filter[${name}]`

/** What the URL narrows the page to, `filter[deployment.environment.name]=production`. */
export function dimensionsOf(params: URLSearchParams): Dimensions {
  const out: Dimensions = {}
  for (const [k, v] of params) {
    const name = param.exec(k)?.[1]
    if (name !== undefined && v !== '') out[name] = v
  }
  return out
}

let chosen: Dimensions = {}

/** What requests and the keys of their answers are narrowed to. The page sets it before its first request. */
export const chosenDimensions = (): Dimensions => chosen
export function chooseDimensions(d: Dimensions): void {
  chosen = d
}

/** The paths of the API whose answers can be narrowed. */
const narrowed =
  /^\/api\/v1\/(services(\/[^/]+(\/(metrics|operations))?)?|servicemap|servicehealth|servicetrends|traces|logs(\/(volume|patterns|tail|context))?|errors|exceptions(\/[^/]+)?|deployments|databases|messaging|external)$/

/** The parameters that narrow an answer. */
export function narrowing(path: string): Dimensions {
  if (!narrowed.test(path)) return {}
  return Object.fromEntries(Object.entries(chosen).map(([name, v]) => [paramOf(name), v]))
}

/** What the page is narrowed to. It keeps its identity while the URL says the same. */
export function useDimensions(): Dimensions {
  const [params] = useSearchParams()
  const text = JSON.stringify(dimensionsOf(params))
  return useMemo(() => JSON.parse(text) as Dimensions, [text])
}
