import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { type SpanSpec, sendTrace, spanID } from './spans'
import { choose, expect, test } from './test'

const table = (page: Page) => page.getByRole('table', { name: 'Services' })
const row = (page: Page, name: string) =>
  table(page)
    .locator('[data-row]')
    .filter({ has: page.getByRole('link', { name, exact: true }) })

/** Calls of a service that no rule of the demo is about, all of which fail. */
async function failingService(name: string): Promise<void> {
  const calls = Array.from(
    { length: 12 },
    (_, i): SpanSpec => ({
      service: name,
      name: 'Redeem',
      id: spanID(i),
      at: i * 10,
      took: 20,
      kind: 2,
      error: true,
    }),
  )
  const id = Array.from({ length: 32 }, () => Math.floor(Math.random() * 16).toString(16)).join('')
  await sendTrace(process.env.E2E_RECEIVER ?? '', id, calls)
}

test('a service that fails all calls is unhealthy without a rule, and says why', async ({ page }) => {
  await failingService('vouchers')
  await page.goto('/')
  await expect(row(page, 'vouchers')).toContainText('failing')
  await page.getByLabel('only unhealthy').check()
  await expect(page).toHaveURL(/only=unhealthy/)
  await expect(row(page, 'vouchers')).toBeVisible()
  await expect(
    table(page)
      .locator('[data-row]')
      .filter({ hasText: /^\s*ok/ }),
  ).toHaveCount(0)
  const health = table(page).locator('[data-row] .s-health')
  const words = await health.allInnerTexts()
  const places = words.map((w) => ['firing', 'failing', 'silent', 'slower', 'pending'].findIndex((x) => w.startsWith(x)))
  expect(places).toEqual([...places].sort())
  await row(page, 'vouchers').locator('.s-health').hover()
  await expect(page.getByRole('tooltip')).toContainText('fails 100 % of its calls')
  await page.mouse.move(0, 0)
  await expect(page.getByRole('tooltip')).toHaveCount(0)
  await row(page, 'vouchers').getByRole('link').focus()
  await expect(page.getByRole('tooltip')).toContainText('fails 100 % of its calls')
  const shown = await new AxeBuilder({ page }).analyze()
  expect(shown.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => v.id)).toEqual([])
  await page.getByRole('link', { name: 'vouchers', exact: true }).click()
  await expect(page.locator('.page-title')).toContainText('failing')
  await expect(page.locator('.page-title')).toContainText('fails 100 % of its calls')
})

test('each service has three sparklines, and the mean of the range on hover', async ({ page }) => {
  await page.goto('/?range=5m')
  await expect.poll(() => row(page, 'frontend').locator('.spark path[d*="L"]').count()).toBe(3)
  await row(page, 'frontend').locator('.s-trend').first().hover()
  await expect(page.getByRole('tooltip')).toContainText(/last minute .* \/s · mean of the range .* \/s/)
})

test('services are grouped by a dimension and their columns chosen, and the URL keeps both', async ({ page }) => {
  await page.goto('/')
  await expect(row(page, 'frontend')).toBeVisible()
  await choose(page, 'Group by', 'Group by namespace')
  await expect(page).toHaveURL(/group=service.namespace/)
  await expect(
    table(page)
      .getByRole('rowheader', { name: /^(accounts|catalog|orders|payments|storefront) \d+ services/ })
      .first(),
  ).toBeVisible()
  await page.getByRole('button', { name: 'Columns' }).click()
  await page.getByRole('menuitem', { name: 'Show Last seen' }).click()
  await page.getByRole('menuitem', { name: 'Hide p95' }).click()
  await page.keyboard.press('Escape')
  await page.reload()
  await expect(table(page).getByRole('columnheader', { name: 'Last seen' })).toBeVisible()
  await expect(table(page).getByRole('columnheader', { name: /^p95/ })).toHaveCount(0)
  await expect(
    table(page)
      .getByRole('rowheader', { name: /^(accounts|catalog|orders|payments|storefront)/ })
      .first(),
  ).toBeVisible()
})

test('of many services only those in view are elements, and the last can be reached', async ({ page }) => {
  const spans = Array.from(
    { length: 300 },
    (_, i): SpanSpec => ({
      service: `many-${String(i).padStart(3, '0')}`,
      name: 'GET',
      id: spanID(i),
      at: i,
      took: 5,
      kind: 2,
    }),
  )
  await sendTrace(process.env.E2E_RECEIVER ?? '', 'b'.repeat(32), spans)
  await page.goto('/?q=many-')
  await expect(table(page)).toHaveAttribute('aria-rowcount', '301')
  expect(await table(page).locator('[data-row]').count()).toBeLessThan(60)
  await page.mouse.move(700, 700)
  await expect
    .poll(async () => {
      await page.mouse.wheel(0, 4_000)
      return row(page, 'many-299').count()
    })
    .toBe(1)
})
