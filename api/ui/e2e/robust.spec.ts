import { type Demo, demo } from './setup'
import { expect, test } from './test'

const rows = '[data-row]'

test('a page that is opened during an outage comes when the server is back', async ({ page, quiet }) => {
  let down = false
  await page.route(/\/(assets\/(traces|errors)-.*\.js|health)$/, (route) => (down ? route.abort() : route.continue()))
  down = true
  await page.goto('/')
  await page.locator(rows).first().waitFor()
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Traces' }).click()
  await expect(page.getByText('Waiting for the page')).toBeVisible()
  await page.waitForTimeout(5_000)
  await expect(page.getByText('Waiting for the page')).toBeVisible()
  down = false
  await expect(page.getByRole('table', { name: 'Traces' }).locator(rows).first()).toBeVisible()
  quiet.length = 0 // the browser's own words on what was refused
})

test('after an upgrade the page is loaded again, once', async ({ page, quiet }) => {
  let old = true
  let loads = 0
  page.on('request', (r) => {
    if (r.isNavigationRequest() && ++loads > 1) old = false
  })
  await page.route(/\/assets\/errors-.*\.js$/, (route) => (old ? route.fulfill({ status: 404 }) : route.continue()))
  await page.goto('/')
  await page.locator(rows).first().waitFor()
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Errors' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Errors' })).toBeVisible()
  expect(loads).toBe(2)
  await expect(page).toHaveURL(/\/errors$/)
  quiet.length = 0
})

test('a server that hangs is stale within seconds, and nothing is said to be ok', async ({ page, quiet }) => {
  let own: Demo | undefined
  try {
    own = await demo({})
    await page.goto(own.url)
    await expect(page.getByRole('button', { name: 'Live' })).toBeVisible()
    await expect(page.locator('td .status-ok').first()).toBeVisible()
    process.kill(own.pid, 'SIGSTOP')
    const stopped = Date.now()
    await expect(page.getByRole('button', { name: 'Stale' })).toBeVisible()
    expect(Date.now() - stopped).toBeLessThan(6_000) // 3 s, and what a busy machine takes
    await expect(page.getByText('The data on this page is old')).toBeVisible()
    await expect(page.locator('td .status-ok')).toHaveCount(0)
    await expect(page.locator('td .status', { hasText: 'was ok' }).first()).toBeVisible()
    process.kill(own.pid, 'SIGCONT')
    await expect(page.getByRole('button', { name: 'Live' })).toBeVisible()
    await expect(page.locator('td .status-ok').first()).toBeVisible()
  } finally {
    if (own) process.kill(own.pid, 'SIGCONT')
    await own?.end()
  }
  quiet.length = 0
})

test('long and odd names leave the page as wide as it is', async ({ page, quiet }) => {
  const names = ['x'.repeat(300), 'shop \u202eliaf', 'two\nlines', 'zero\u200bwidth']
  const now = new Date().toISOString()
  const meta = { source: 'view', since: now, up_to: now, lag_ms: 0, partial: false, warnings: [], view_version: 0 }
  await page.routeWebSocket('**/ws', (ws) => ws.close())
  const range = { start: now, end: now }
  await page.route(/\/api\/v1\/servicehealth\?/, (route) =>
    route.fulfill({
      json: {
        services: names.map((name) => ({
          name,
          health: 'ok',
          reason: 'as before',
          now: { rate: 1, error_rate: 0, p95_ms: 2 },
          before: null,
          last_seen: now,
        })),
        total: 4,
        now: range,
        baseline: null,
        meta,
      },
    }),
  )
  for (const width of [1440, 390]) {
    await page.setViewportSize({ width, height: 800 })
    await page.goto('/')
    const table = page.getByRole('table', { name: 'Services' })
    await expect(table.locator(rows)).toHaveCount(4)
    expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
    await expect(table).toContainText('shop ‹202E›liaf')
    await expect(table).toContainText('two⏎lines')
    await expect(table).toContainText('zero‹200B›width')
    await expect(table.locator('bdi')).toHaveCount(4)
    await page.goto(`/services/${names[0]}`)
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
    expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
  }
  quiet.length = 0
})

test('Enter in the filter goes to the first row, Escape leaves it as it is', async ({ page }) => {
  await page.goto('/')
  await page.locator(rows).first().waitFor()
  await page.keyboard.press('/')
  await page.keyboard.type('pay')
  await page.keyboard.press('Escape')
  await expect(page.getByLabel('Filter services')).toHaveValue('pay')
  await expect(page.getByLabel('Filter services')).not.toBeFocused()
  await page.keyboard.press('/')
  await page.keyboard.press('Enter')
  const focused = page.locator(rows).getByRole('link').and(page.locator(':focus'))
  await expect(focused).toHaveCount(1)
  // The namespace of some services matches too; the order of rows stays while one of them has the focus.
  const first = await focused.textContent()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(first ?? '')
})

test('a chart does not move when the pointer comes', async ({ page }) => {
  await page.goto('/services/checkout')
  const chart = page.locator('.chart .u-over').last()
  await chart.waitFor()
  const heights = () => page.locator('.chart').evaluateAll((all) => all.map((c) => c.getBoundingClientRect().height))
  const before = await heights()
  await chart.hover()
  await page.waitForTimeout(200)
  expect(await heights()).toEqual(before)
})
