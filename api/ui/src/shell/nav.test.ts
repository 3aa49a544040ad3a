import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isCurrent, nav, navPages, others, places, titleOf } from './nav'

const page = (path: string) => navPages.find((p) => p.path === path) as (typeof navPages)[number]

test('a page is current on its own path and on those below it', () => {
  expect(isCurrent(page('/'), '/')).toBe(true)
  expect(isCurrent(page('/'), '/services/a')).toBe(true)
  expect(isCurrent(page('/'), '/traces')).toBe(false)
  expect(isCurrent(page('/traces'), '/traces/0123')).toBe(true)
  expect(isCurrent(page('/alerts'), '/alerts/rules/x')).toBe(true)
  expect(isCurrent(page('/alerts'), '/alertsx')).toBe(false)
})

test('each location has at most one current page', () => {
  for (const l of ['/', '/deployments', '/services/x', '/traces/1', '/logs', '/graph', '/alerts/new', '/account'])
    expect(navPages.filter((p) => isCurrent(p, l)).map((p) => p.path)).toHaveLength(1)
})

test('titles', () => {
  expect(titleOf('/')).toBe('Overview')
  expect(titleOf('/alerts/new')).toBe('New rule')
  expect(titleOf('/alerts/rules/4')).toBe('Rule')
  expect(titleOf('/services/a%20b')).toBe('a b')
  expect(titleOf('/services/100%')).toBe('100%')
})

test('no two pages have one key or one path', () => {
  const all = [...navPages, ...others]
  const keys = all.flatMap((p) => p.key ?? [])
  expect(new Set(keys).size).toBe(keys.length)
  expect(Object.keys(places)).toHaveLength(keys.length)
  expect(new Set(navPages.map((p) => p.path)).size).toBe(navPages.length)
})

test('what index.html shows before the page is loaded is this navigation', () => {
  const html = readFileSync('index.html', 'utf8')
  const shown = [...html.matchAll(/<a class="side-link" href="([^"]+)">([^<]+)<\/a>/g)].map((m) => [m[1], m[2]])
  expect(shown).toEqual(nav.flatMap((g) => g.pages.map((p) => [p.path, p.label])))
})
