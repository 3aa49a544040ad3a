import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { choose, expect, head, select, test } from './test'

const rows = (page: Page, name: string) => page.getByRole('table', { name, exact: true }).locator('[data-row]')

test('traces are searched, read on and looked at', async ({ page }) => {
  await page.goto('/traces')
  await expect(rows(page, 'Traces')).toHaveCount(50)
  await page.getByRole('button', { name: 'Show more' }).click()
  await expect.poll(() => rows(page, 'Traces').count()).toBeGreaterThan(50)

  const filters = page.getByRole('combobox', { name: 'Filters' })
  await filters.fill('service = payment')
  await filters.press('Enter')
  await expect(page).toHaveURL(/service=payment/)
  await choose(page, 'Order', 'slowest first')
  await expect(page).toHaveURL(/order=slowest/)
  await expect(rows(page, 'Traces').first()).toContainText('payment')
  await page.reload()
  await expect(page.getByRole('button', { name: 'Without service = payment' })).toBeVisible()
  await expect(select(page, 'Order')).toHaveValue('slowest first')

  await filters.fill('rpc.method=Charge')
  await filters.press('Enter')
  await expect(rows(page, 'Traces').first()).toContainText('payment')
  await filters.fill('rpc.method~^NoSuchMethod')
  await filters.press('Enter')
  await expect(page.getByText('No traces match these filters in this time range')).toBeVisible()
  await page.goBack()
  await rows(page, 'Traces').first().getByRole('link').click()

  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}$/)
  await expect(page.getByRole('heading', { level: 1 })).toContainText(/\w+ \w+/)
  const spans = page.getByRole('treegrid', { name: 'Spans' }).locator('[data-row]')
  await expect.poll(() => spans.count()).toBeGreaterThan(5)
  const all = await spans.count()
  await page.getByRole('button', { name: 'Fold all' }).click()
  expect(await spans.count()).toBeLessThan(all)
  await page.getByRole('button', { name: 'Unfold all' }).click()
  await expect(spans).toHaveCount(all)
  await spans.filter({ hasText: 'payment' }).first().click()
  await expect(page).toHaveURL(/span=[0-9a-f]{16}/)
  const panel = page.getByRole('complementary', { name: /^Span payment/ })
  await expect(panel.getByText('rpc.method')).toBeVisible()
  await panel.getByRole('tab', { name: 'Process' }).click()
  await expect(panel.getByText('telemetry.sdk.name')).toBeVisible()
  await page.reload()
  await expect(panel.getByText('rpc.method')).toBeVisible()
  await expect(page.getByRole('link', { name: 'Trace in Jaeger' })).toHaveAttribute('href', /jaeger\.example:16686\/ui\/trace\//)
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => v.id)).toEqual([])
})

test('a trace that is not known is said to be so', async ({ page, quiet }) => {
  await page.goto('/traces/00000000000000000000000000000001')
  await expect(page.getByRole('alert')).toBeVisible()
  quiet.splice(0, quiet.length, ...quiet.filter((e) => !e.includes('404')))
})

test('from a log line to its trace and back', async ({ page }) => {
  await page.goto('/logs')
  await expect(page.getByRole('img', { name: /^Lines, per step: debug now/ })).toBeVisible()
  await expect.poll(() => rows(page, 'Log lines').count()).toBeGreaterThan(20)
  await select(page, 'Service').fill('payment')
  await page.getByLabel('Text').fill('charge')
  await page.getByRole('button', { name: 'Search', exact: true }).click()
  await expect(page).toHaveURL(/service=payment&text=charge/)
  const line = rows(page, 'Log lines').first()
  await expect(line).toContainText(/charge/i)
  await head(line).click()
  await expect(line).toContainText('service.version')
  await line
    .getByRole('link', { name: /^Trace / })
    .first()
    .click()
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}\?span=/)
  await expect.poll(() => page.getByRole('treegrid', { name: 'Spans' }).locator('[data-row]').count()).toBeGreaterThan(5)
  await page.getByRole('tab', { name: 'Logs' }).first().click()
  await expect.poll(() => rows(page, 'Log lines of this trace').count()).toBeGreaterThan(0)
  const lines = await rows(page, 'Log lines of this trace').count()
  await page.getByRole('link', { name: 'Logs of this trace' }).click()
  await expect(page).toHaveURL(/\/logs\?trace=[0-9a-f]{32}/)
  await expect(rows(page, 'Log lines')).toHaveCount(lines)
  await page.getByRole('button', { name: 'Without trace' }).click()
  await expect(page).not.toHaveURL(/trace=/)
})

test('a pattern leads to its lines', async ({ page }) => {
  await page.goto('/logs')
  await page.getByText('Patterns', { exact: true }).click()
  await expect(page).toHaveURL(/view=patterns/)
  await page.getByLabel('Filter patterns').fill('pool')
  const first = rows(page, 'Patterns').first()
  await expect(first).toContainText('pool')
  await first.locator('button.name').click()
  await expect(page.locator('.chip')).toContainText('pool')
  const texts = head(rows(page, 'Log lines'))
  await expect(texts.first()).toContainText('pool')
  expect((await texts.allInnerTexts()).filter((t) => !t.includes('pool'))).toEqual([])
})

test('lines are followed, held while paused, and followed again', async ({ page }) => {
  await page.goto('/logs')
  await page.getByLabel('live tail').check()
  await expect(page).toHaveURL(/tail=1/)
  await expect(page.getByText('following')).toBeVisible()
  await expect.poll(() => rows(page, 'Log lines').count()).toBeGreaterThan(10)
  const first = () => rows(page, 'Log lines').first().innerText()
  const before = await first()
  await expect.poll(first).not.toBe(before)
  await page.getByRole('button', { name: 'Live' }).click()
  await expect(page.getByText(/Paused, [1-9]\d* new lines/)).toBeVisible()
  const held = await first()
  await page.waitForTimeout(700)
  expect(await first()).toBe(held)
  await page.getByRole('button', { name: 'Resume' }).click()
  await expect.poll(first).not.toBe(held)
  await page.getByLabel('live tail').uncheck()
  await expect(page.getByRole('button', { name: 'Refresh' })).toBeVisible()
})

test('exceptions are groups that lead to traces', async ({ page }) => {
  await page.goto('/errors')
  await expect.poll(() => rows(page, 'Exceptions').count()).toBeGreaterThan(0)
  const first = rows(page, 'Exceptions').first()
  await expect(first).toContainText('shop.Error')
  await expect(first).toContainText('spans and logs')
  await first.getByRole('link', { name: /shop\.Error/ }).click()
  await expect(page).toHaveURL(/\/errors\/[0-9a-f]{16}/)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('shop.Error')
  await expect(page.getByText(/so each counts once/)).toBeVisible()
  const facts = page.locator('.facts')
  await expect(facts).toContainText(/First version\s*\d+\.\d+\.\d+/)
  await expect(page.locator('.tv-stack')).toContainText('(Handler.java:118)')
  await expect(page.getByRole('button', { name: '3 frames of libraries' })).toBeVisible()
  const api = `/api/v1/exceptions/${page.url().match(/errors\/([0-9a-f]{16})/)?.[1]}`
  const { exception } = await (await page.request.get(api)).json()
  expect(exception.count).toBe(Math.max(...exception.sources.map((s: { count: number }) => s.count)))
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => v.id)).toEqual([])
  await page.getByRole('link', { name: 'Open its trace' }).click()
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}/)
  await expect(page.getByRole('treegrid', { name: 'Spans' }).getByText('failed here').first()).toBeVisible()
  await page.goto('/errors?type=NoSuchError')
  await expect(page.getByText('No exception of this range matches the filter.')).toBeVisible()
})

test('a service leads to its traces, logs, errors, calls and versions', async ({ page }) => {
  await page.goto('/services/checkout')
  await expect(rows(page, 'Database calls').first()).toContainText('postgresql')
  await expect(rows(page, 'Messaging').first()).toContainText('orders')
  await expect.poll(() => rows(page, 'Messages').count()).toBe(3)
  await expect(rows(page, 'Deployments').first()).toContainText(/\d+\.\d+\.\d+/)
  await page.getByRole('link', { name: 'Traces with PlaceOrder' }).click()
  await expect(page).toHaveURL(/\/traces\?service=checkout&operation=PlaceOrder$/)
  await expect(rows(page, 'Traces').first()).toContainText('checkout')
  await page.goto('/services/payment?range=5m')
  await expect(rows(page, 'External calls').first()).toContainText('api.bank.example')
  await page.getByRole('link', { name: 'Logs', exact: true }).last().click()
  await expect(page).toHaveURL(/\/logs\?service=payment&from=now-5m$/)
  await page.goBack()
  await page.getByRole('link', { name: 'Errors', exact: true }).last().click()
  await expect(page).toHaveURL(/\/errors\?service=payment&from=now-5m$/)
})

test('deployments of all services are listed', async ({ page }) => {
  await page.goto('/?range=1h')
  await page.getByRole('link', { name: 'Deployments' }).click()
  await expect(page).toHaveURL(/\/deployments\?from=now-1h$/)
  await expect.poll(() => rows(page, 'Deployments').count()).toBeGreaterThan(10)
})

test('the map tells what differs from the time before', async ({ page }) => {
  const red = (calls: number, error_rate: number, p95_ms: number) => ({
    calls,
    failed: calls * error_rate,
    rate: calls / 900,
    error_rate,
    p95_ms,
    p95_low_ms: p95_ms * 0.9,
    p95_high_ms: p95_ms * 1.1,
  })
  const edge = (client: string, server: string, change: object) => ({
    client,
    client_type: 'service',
    server,
    server_type: 'service',
    connection_type: '',
    calls: 900,
    failed: 0,
    client_p95_ms: 10,
    server_p95_ms: 10,
    change,
  })
  const asked: URL[] = []
  await page.route('**/api/v1/servicemap?*compare_start*', async (route) => {
    asked.push(new URL(route.request().url()))
    const service = (name: string) => ({ name, type: 'service' })
    await route.fulfill({
      json: {
        nodes: ['shop', 'bank', 'mail', 'fax', 'stock'].map(service),
        edges: [
          edge('shop', 'bank', { what: ['errors', 'latency'], before: red(900, 0, 40), now: red(900, 0.12, 900) }),
          edge('shop', 'mail', { what: ['added'], before: red(0, 0, 0), now: red(900, 0, 10) }),
          edge('shop', 'fax', { what: ['gone'], before: red(90, 0, 10), now: red(0, 0, 0) }),
          edge('shop', 'stock', { what: [], before: red(900, 0, 10), now: red(901, 0, 10) }),
        ],
        unpaired: [],
        meta: { source: 'view', since: null, up_to: null, lag_ms: 0, partial: false, warnings: [], view_version: 0 },
      },
    })
  })
  await page.goto('/map')
  await choose(page, 'Compare with', 'the 15 min before')
  await expect(page).toHaveURL(/compare=before/)
  const differences = rows(page, 'Differences')
  await expect(differences).toHaveCount(4)
  const of = (name: string) => differences.filter({ has: page.getByRole('link', { name, exact: true }) })
  await expect(of('bank')).toContainText('changed')
  await expect(of('bank')).toContainText('0 to → 12.0')
  await expect(of('bank')).toContainText('40.0 to → 900')
  await expect(of('mail')).toContainText('added')
  await expect(of('fax')).toContainText('gone')
  await expect(of('stock')).toContainText('as before')
  await expect(page.getByRole('list', { name: 'How many edges differ' })).toContainText('1 added')
  await expect(page.locator('.map-box')).toHaveCount(5)
  await expect(rows(page, 'Edges')).toHaveCount(3)
  await page.getByLabel('only changed').check()
  await expect(differences).toHaveCount(3)
  const { searchParams: q } = asked[0] as URL
  expect(Number(q.get('compare_end'))).toBe(Number(q.get('start')))
  expect(Number(q.get('compare_start'))).toBe(Number(q.get('start')) - 900)
  await choose(page, 'Compare with', 'nothing')
  await expect(differences).toHaveCount(0)
})

test('the demo answers what differs', async ({ page }) => {
  await page.goto('/map?compare=before&range=5m')
  await expect.poll(() => rows(page, 'Differences').count()).toBeGreaterThan(20)
})

test('replays are paused, resumed and canceled', async ({ page }) => {
  const replay = {
    id: 'r1',
    state: 'running',
    progress: 0.42,
    rate: 1234,
    eta_s: 95,
    records: 500_000,
    waiting: false,
    views: [],
    from: null,
    to: null,
    keep: false,
    version: 2,
    partitions: [{ topic: 'otlp_spans', partition: 0, start: 0, position: 42, end: 100 }],
    error: null,
    created: new Date().toISOString(),
    updated: new Date().toISOString(),
  }
  const done: string[] = []
  await page.route('**/api/v1/replays', (route) => route.fulfill({ json: { replays: [replay] } }))
  await page.route('**/api/v1/replays/r1**', (route) => {
    const action = `${route.request().method()} ${new URL(route.request().url()).pathname.split('/').at(-1)}`
    done.push(action)
    replay.state = action.endsWith('pause') ? 'paused' : action.endsWith('resume') ? 'running' : 'canceled'
    return action.startsWith('DELETE') ? route.fulfill({ status: 204 }) : route.fulfill({ json: replay })
  })
  await page.goto('/pipeline')
  const row = rows(page, 'Replays').first()
  await expect(row).toContainText('running')
  await expect(row).toContainText('42')
  await expect(row).toContainText('2 min')
  await head(row).click()
  await expect(row).toContainText('otlp_spans/0')
  await row.getByRole('button', { name: 'Pause' }).click()
  await expect(row).toContainText('paused')
  await row.getByRole('button', { name: 'Resume' }).click()
  await expect(row).toContainText('running')
  await row.getByRole('button', { name: 'Cancel', exact: true }).click()
  await row.getByRole('button', { name: 'Really cancel' }).click()
  await expect(row).toContainText('canceled')
  expect(done).toEqual(['POST pause', 'POST resume', 'DELETE r1'])
})

test('a replay is started and takes the place of the views', async ({ page }) => {
  await page.goto('/pipeline')
  await expect(page.getByText('No replays yet.')).toBeVisible()
  await page.getByRole('button', { name: 'Start a replay' }).click()
  const row = rows(page, 'Replays').first()
  await expect(row).toContainText('all that the topics hold')
  await expect(row).toContainText('swapped', { timeout: 180_000 })
  await page.goto('/')
  await expect.poll(() => rows(page, 'Services').count()).toBeGreaterThan(10)
})
