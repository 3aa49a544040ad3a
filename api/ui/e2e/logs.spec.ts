import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { expect, head, select, test } from './test'

const rows = (page: Page, name: string) => page.getByRole('table', { name, exact: true }).locator('[data-row]')

/** The parameters of the newest request for a path. */
function watch(page: Page, path: string): () => URLSearchParams | undefined {
  let newest: URLSearchParams | undefined
  page.on('request', (r) => {
    const url = new URL(r.url())
    if (url.pathname === path) newest = url.searchParams
  })
  return () => newest
}

/** Sends a log record as OTLP over HTTP. */
async function send(body: string, service: string, attributes: Record<string, string> = {}): Promise<void> {
  const of = (a: Record<string, string>) => Object.entries(a).map(([key, stringValue]) => ({ key, value: { stringValue } }))
  const nanos = `${Date.now()}000000`
  const record = { timeUnixNano: nanos, severityNumber: 17, body: { stringValue: body }, attributes: of(attributes) }
  const resource = { attributes: of({ 'service.name': service, 'k8s.pod.name': `${service}-1` }) }
  const res = await fetch(`${process.env.E2E_RECEIVER}/v1/logs`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ resourceLogs: [{ resource, scopeLogs: [{ logRecords: [record] }] }] }),
  })
  expect(res.ok).toBe(true)
}

test('lines are filtered by attributes, and the chart counts the same lines', async ({ page }) => {
  const volume = watch(page, '/api/v1/logs/volume')
  await page.goto('/logs?service=payment')
  const line = rows(page, 'Log lines').first()
  await expect(line).toContainText('payment')
  await page.getByLabel('Attributes').fill('code.function.name=serve resource.service.name~^pay')
  await page.getByLabel('Attributes').press('Enter')
  await expect(page.locator('.chip')).toHaveCount(2)
  await expect.poll(() => volume()?.getAll('attributes')).toEqual(['code.function.name=serve', 'resource.service.name~^pay'])
  await expect(line).toContainText('payment')

  await head(line).click()
  await line.getByRole('button', { name: 'Exclude: service.version' }).click()
  await expect(page).toHaveURL(/resource\.service\.version%21%3D/)
  await page.getByRole('button', { name: 'Without resource.service.version' }).click()
  await expect(page.locator('.chip')).toHaveCount(2)

  await page.getByLabel('Text').fill('no line says this')
  await page.getByLabel('Text').press('Enter')
  await expect(page.getByText('No log lines match these filters in this time range.')).toBeVisible()
  await expect(page.getByText(/^0 lines; drag to zoom/)).toBeVisible()
  await page.getByLabel('Attributes').fill('code>many')
  await page.getByLabel('Attributes').press('Enter')
  await expect(page.getByRole('alert')).toContainText('is not a number')
})

test('a line is shown without escape codes, as JSON, and among its neighbours', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  for (const n of [1, 2, 3]) {
    await send(`\u001b[31mstep ${n}\u001b[0m of the ansi test`, 'terminal', { step: String(n) })
    await new Promise((r) => setTimeout(r, 5))
  }
  await page.goto('/logs?service=terminal')
  await expect(async () => {
    await page.getByRole('button', { name: 'Refresh' }).click()
    await expect(rows(page, 'Log lines')).toHaveCount(3, { timeout: 1_000 })
  }).toPass()
  const line = rows(page, 'Log lines').filter({ hasText: 'step 2' })
  await expect(head(line)).toHaveText('step 2 of the ansi test')
  await head(line).click()
  await line.getByRole('button', { name: 'Copy line' }).click()
  await expect(line.getByRole('button', { name: 'Copied' })).toBeVisible()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('step 2 of the ansi test')
  await line.getByRole('button', { name: 'Show JSON' }).click()
  await expect(line.locator('pre')).toContainText('\\u001b[31mstep 2')
  await line.getByRole('button', { name: 'Show context' }).click()
  const around = line.getByRole('list', { name: 'Lines around it' }).getByRole('listitem')
  await expect(around).toHaveCount(3)
  await expect(around.nth(0)).toContainText('step 1')
  await expect(around.nth(1)).toHaveAttribute('aria-current', 'true')
  await expect(around.nth(2)).toContainText('step 3')
  await expect(select(line, 'Lines of')).toHaveValue('the same pod')
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => v.id)).toEqual([])
  await page.getByLabel('wrap lines').check()
  await expect(page).toHaveURL(/wrap=1/)
})

test('the live tail begins with lines of before, and keeps those that pass a narrower filter', async ({ page }) => {
  await send('the only line of this service', 'seldom')
  await page.goto('/logs?service=seldom')
  await expect(async () => {
    await page.getByRole('button', { name: 'Refresh' }).click()
    await expect(rows(page, 'Log lines')).toHaveCount(1, { timeout: 1_000 })
  }).toPass()
  await page.getByLabel('live tail').check()
  await expect(rows(page, 'Log lines')).toHaveCount(1)

  await page.goto('/logs?tail=1')
  await expect(page.getByText(/^the newest \d{3}/)).toBeVisible()
  const drawn = await rows(page, 'Log lines').count()
  expect(drawn).toBeGreaterThan(5)
  expect(drawn).toBeLessThan(100) // of hundreds
  await select(page, 'Severity').click()
  await page.getByRole('option', { name: 'WARN and above' }).click()
  await expect(page).toHaveURL(/severity=WARN/)
  await expect(rows(page, 'Log lines').first()).toBeVisible()
  await expect(rows(page, 'Log lines').filter({ hasText: /INFO|DEBUG/ })).toHaveCount(0)
})

test('lines are held while the tail is scrolled away or a line is open', async ({ page }) => {
  await page.goto('/logs?tail=1')
  await expect(page.getByText('following')).toBeVisible()
  const box = page.getByRole('region', { name: 'Newest lines' })
  const first = () => rows(page, 'Log lines').first().innerText()
  await expect.poll(() => rows(page, 'Log lines').count()).toBeGreaterThan(10)
  await box.evaluate((e) => e.scrollTo({ top: 400 }))
  await expect(page.getByText(/Scrolled away from the newest line, [1-9]\d* new lines/)).toBeVisible()
  await expect(page.getByText('following')).toHaveCount(0)
  await page.getByRole('button', { name: 'Jump to the newest line' }).click()
  await expect(page.getByText('following')).toBeVisible()
  await head(rows(page, 'Log lines').first()).click()
  await expect(page.getByText(/Held while a line is open, [1-9]\d* new lines/)).toBeVisible()
  const held = await first()
  await page.getByRole('button', { name: 'Jump to the newest line' }).click()
  await expect.poll(first).not.toBe(held)
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => v.id)).toEqual([])
})
