import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { choose, expect, head, select, test } from './test'

const services = (page: Page) => page.getByRole('table', { name: 'Services' }).locator('[data-row]')

test('services are live', async ({ page }) => {
  await page.goto('/')
  await expect(page.getByRole('button', { name: 'Live' })).toBeVisible()
  await expect.poll(() => services(page).count()).toBeGreaterThan(10)
  const row = services(page).filter({ has: page.getByRole('link', { name: 'frontend', exact: true }) })
  await expect(row).toContainText(/ok|firing|pending|failing|slower/)
  await expect(page.locator('.fresh-text')).toContainText(/fresh (<1 s|\d+ s) ago · lag .* · from view/)
  const before = await row.innerText()
  await expect.poll(() => row.innerText()).not.toBe(before)
})

test('the trend of a service is drawn', async ({ page }) => {
  await page.goto('/?range=5m')
  await expect.poll(() => page.locator('.spark path[d*="L"]').count(), { timeout: 180_000 }).toBeGreaterThan(5)
})

test('paused, nothing moves; resumed, it is new again', async ({ page }) => {
  await page.goto('/')
  await expect.poll(() => services(page).count()).toBeGreaterThan(10)
  await page.getByRole('button', { name: 'Live' }).click()
  const numbers = () => services(page).locator('.s-now').allInnerTexts()
  const paused = page.getByRole('button', { name: /Paused/ })
  await expect(paused).toContainText(/[1-9]\d* held/)
  const before = await numbers()
  await page.waitForTimeout(1500)
  expect(await numbers()).toEqual(before)
  await paused.click()
  await expect.poll(numbers).not.toEqual(before)
})

test('filter, sort and range are in the URL, and come from it', async ({ page }) => {
  await page.goto('/')
  await expect.poll(() => services(page).count()).toBeGreaterThan(10)
  await page.keyboard.press('/')
  await page.keyboard.type('check')
  await expect(services(page)).toHaveCount(1)
  await page.getByRole('button', { name: /^p95/ }).click()
  await page.getByRole('button', { name: 'Last 15 min' }).click()
  await page.getByRole('button', { name: 'Last hour' }).click()
  await expect(page).toHaveURL(/q=check/)
  await expect(page).toHaveURL(/sort=-p95/)
  await expect(page).toHaveURL(/from=now-1h/)
  await page.reload()
  await expect(page.getByLabel('Filter services')).toHaveValue('check')
  await expect(page.getByRole('button', { name: 'Last hour' })).toBeVisible()
  await expect(page.getByRole('columnheader', { name: /^p95/ })).toHaveAttribute('aria-sort', 'descending')
  await expect(services(page)).toHaveCount(1)
})

test('a service has its numbers, charts, operations and neighbours', async ({ page }) => {
  await page.goto('/?range=5m')
  await page.getByRole('link', { name: 'checkout', exact: true }).first().click()
  await expect(page).toHaveURL(/\/services\/checkout\?from=now-5m$/)
  await expect(page.getByRole('heading', { level: 1, name: 'checkout' })).toBeVisible()
  await expect(page.getByRole('img', { name: /^Rate, spans\/s: rate now/ })).toBeVisible()
  await expect(page.getByRole('img', { name: /^Duration, ms: p50 now/ })).toBeVisible()
  const operations = page.getByRole('table', { name: 'Operations' }).locator('[data-row]')
  await expect(operations.first()).toContainText('PlaceOrder')
  await expect(page.getByRole('table', { name: 'Upstream' })).toContainText('frontend')
  await expect(page.getByRole('table', { name: 'Downstream' })).toContainText('payment')
  await expect(page.getByRole('link', { name: 'Traces in Jaeger' })).toHaveAttribute(
    'href',
    'http://jaeger.example:16686/ui/search?service=checkout',
  )
  await page.getByRole('button', { name: 'PlaceOrder', exact: true }).click()
  await expect(page).toHaveURL(/op=PlaceOrder/)
  await expect(page.getByText('Show all operations')).toBeVisible()
})

test('a service that is not known is said to be so', async ({ page, quiet }) => {
  await page.goto('/services/no%2Fsuch')
  await expect(page.getByRole('alert')).toContainText('no service "no/such" is known')
  quiet.splice(0, quiet.length, ...quiet.filter((e) => !e.includes('404')))
})

test('the map is a table and a drawing of the same edges', async ({ page }) => {
  await page.goto('/map')
  const edges = page.getByRole('table', { name: 'Edges' }).locator('[data-row]')
  await expect.poll(() => edges.count()).toBeGreaterThan(20)
  await expect.poll(() => page.locator('.map-box').count()).toBeGreaterThan(15)
  await page.getByLabel('Filter edges').fill('checkout payment')
  await expect(edges).toHaveCount(1)
  await expect(page.locator('.map-box')).toHaveCount(2)
  await page.locator('.map-box', { hasText: 'payment' }).click()
  await page.getByRole('link', { name: 'Open service' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'payment' })).toBeVisible()
})

test('alerts show rules and their state', async ({ page }) => {
  await page.goto('/alerts')
  const rules = page.getByRole('table', { name: 'Rules' }).locator('[data-row]')
  await expect.poll(() => rules.count()).toBeGreaterThan(0)
  await expect(rules.first()).toContainText(/firing|pending|inactive/)
  await head(rules.first()).click()
  await expect(rules.first().locator('code')).toBeVisible()
})

test('the pipeline tells how far it has read', async ({ page }) => {
  await page.goto('/pipeline')
  const partitions = page.getByRole('table', { name: 'Partitions' }).locator('[data-row]')
  await expect.poll(() => partitions.count()).toBeGreaterThan(0)
  for (const topic of ['otlp_spans', 'otlp_logs', 'otlp_metrics']) {
    await expect(partitions.filter({ hasText: topic }).first()).toContainText(/reading|idle|at the end/)
  }
  for (const title of ['Lag', 'Behind in event time', 'Records read', 'Counted', 'Disk']) {
    await expect(page.locator('.chart-title', { hasText: title })).toBeVisible()
  }
  const counted = page.locator('.chart', { has: page.locator('.chart-title', { hasText: 'Counted' }) })
  await expect(counted).toContainText(/spans\s*[1-9]/)
  const spans = page.locator('.facts > div', { hasText: /^Spans/ }).locator('dd')
  const before = await spans.getAttribute('title')
  await expect.poll(() => spans.getAttribute('title')).not.toBe(before)
})

test('everything can be reached by keyboard', async ({ page }) => {
  await page.goto('/')
  await expect.poll(() => services(page).count()).toBeGreaterThan(10)
  await page.keyboard.press('g')
  await page.keyboard.press('m')
  await expect(page).toHaveURL(/\/map$/)
  for (const [key, path] of [
    ['t', 'traces'],
    ['l', 'logs'],
    ['e', 'errors'],
    ['o', 'slos'],
  ] as const) {
    await page.keyboard.press('g')
    await page.keyboard.press(key)
    await expect(page).toHaveURL(new RegExp(`/${path}$`))
  }
  await page.keyboard.press('g')
  await page.keyboard.press('a')
  await expect(page).toHaveURL(/\/alerts$/)
  await page.keyboard.press('g')
  await page.keyboard.press('p')
  await expect(page).toHaveURL(/\/pipeline$/)
  await page.keyboard.press('g')
  await page.keyboard.press('s')
  await expect.poll(() => services(page).count()).toBeGreaterThan(10)
  await page.getByRole('button', { name: 'Service', exact: true }).click()
  await page.locator('body').click({ position: { x: 780, y: 4 } })
  await page.keyboard.press('j')
  await page.keyboard.press('j')
  await expect(services(page).nth(1).getByRole('link')).toBeFocused()
  await page.keyboard.press('k')
  const first = services(page).first().getByRole('link')
  await expect(first).toBeFocused()
  const name = await first.innerText()
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog', { name: 'Keyboard' })).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toBeHidden()
  await first.focus()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name })).toBeVisible()
})

test('a lost connection is bridged and comes back', async ({ page, quiet }) => {
  let cut = true
  const open: { close(): Promise<void> }[] = []
  await page.routeWebSocket('**/ws', (ws) => {
    if (cut) void ws.close()
    else open.push(ws.connectToServer() && ws)
  })
  await page.goto('/')
  await expect(page.getByRole('button', { name: 'Polling' })).toBeVisible()
  await expect.poll(() => services(page).count()).toBeGreaterThan(10)
  cut = false
  await expect(page.getByRole('button', { name: 'Live' })).toBeVisible()
  await Promise.all(open.splice(0).map((ws) => ws.close()))
  await expect.poll(() => open.length).toBeGreaterThan(0)
  await expect(page.getByRole('button', { name: 'Live' })).toBeVisible()
  quiet.splice(0, quiet.length, ...quiet.filter((e) => !e.includes('WebSocket')))
})

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme })
    for (const [path, wait] of [
      ['/', '[data-row]'],
      ['/services/checkout', '[data-row]'],
      ['/deployments', '[data-row]'],
      ['/map', '.map-box'],
      ['/map?sel=checkout&focus=checkout', '.map-panel'],
      ['/map?compare=before', '[data-row]'],
      ['/traces', '[data-row]'],
      ['/logs', '[data-row]'],
      ['/logs?view=patterns', '[data-row]'],
      ['/query?browse=metrics&g0.expr=calls_total', '[data-row]'],
      ['/errors', '[data-row]'],
      ['/incidents', '.page-head'],
      ['/alerts', '[data-row]'],
      ['/alerts/new?chart=errors&service=payment&threshold=0.05', '.bt-words'],
      ['/slos', '.section'],
      ['/pipeline', '[data-row]'],
      ['/settings', '[data-row]'],
    ] as const) {
      test(`${path} is accessible`, async ({ page }) => {
        await page.goto(path)
        await page.locator(wait).first().waitFor()
        await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', colorScheme)
        const { violations } = await new AxeBuilder({ page }).analyze()
        const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
        expect(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join('\n')}`)).toEqual([])
      })
    }
  })
}

test('a narrow screen does not scroll sideways', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 })
  for (const path of [
    '/',
    '/services/checkout',
    '/deployments',
    '/map',
    '/map?compare=before',
    '/traces',
    '/logs',
    '/logs?view=patterns',
    '/query?browse=metrics&g0.expr=calls_total',
    '/errors',
    '/alerts',
    '/alerts/new?chart=errors&service=payment&threshold=0.05',
    '/pipeline',
    '/settings',
  ]) {
    await page.goto(path)
    await page.locator('[data-row]').first().waitFor()
    expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
  }
})

test('no width makes the page scroll sideways', async ({ page }) => {
  await page.goto('/traces')
  await page.locator('[data-row]').first().waitFor()
  for (const width of [480, 700, 861, 1000, 1121, 1161, 1200, 1321, 1440]) {
    await page.setViewportSize({ width, height: 800 })
    expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth), `${width} px`).toBeLessThanOrEqual(0)
  }
})

test('the page is narrowed to one environment', async ({ page }) => {
  const name = 'deployment.environment.name'
  const asked: URL[] = []
  page.on('request', (r) => r.url().includes('/api/v1/exceptions') && asked.push(new URL(r.url())))
  const rows = page.getByRole('table', { name: 'Services', exact: true }).locator('[data-row]')
  await page.goto('/?range=1h')
  await expect.poll(() => rows.count()).toBeGreaterThan(5)
  const environment = select(page, name)
  await choose(page, name, 'production')
  await expect(page).toHaveURL(/filter%5Bdeployment\.environment\.name%5D=production/)
  await expect.poll(() => rows.count()).toBeGreaterThan(5)
  await choose(page, name, 'staging')
  await expect(rows.filter({ hasText: 'mobile-gateway' })).toHaveCount(1)
  await expect(rows.filter({ hasText: 'payment' })).toHaveCount(0)
  await expect(rows.filter({ hasText: 'production' })).toHaveCount(0)
  await page.goBack()
  await expect.poll(() => rows.count()).toBeGreaterThan(5)
  await page.getByRole('link', { name: 'Errors', exact: true }).click()
  await expect(environment).toHaveValue('production')
  await expect.poll(() => asked.at(-1)?.searchParams.get(`filter[${name}]`)).toBe('production')
  await choose(page, name, 'any environment')
  await expect.poll(() => asked.at(-1)?.searchParams.get(`filter[${name}]`)).toBe(null)
})
