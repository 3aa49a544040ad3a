import { readFileSync } from 'node:fs'
import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { expect, test } from './test'

async function accessible(page: Page) {
  const { violations } = await new AxeBuilder({ page }).analyze()
  const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
  expect(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join('\n')}`)).toEqual([])
}

/** Light and dark, wide and narrow. */
async function accessibleEverywhere(page: Page) {
  await accessible(page)
  await page.emulateMedia({ colorScheme: 'dark' })
  await accessible(page)
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 390, height: 844 })
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
  await accessible(page)
  await page.setViewportSize({ width: 1440, height: 900 })
}

const calls = 'sum by (service_name) (rate(traces_span_metrics_calls_total{job=""}[1m]))'

test('a query is typed with completion, and has a graph', async ({ page }) => {
  await page.goto('/')
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Metrics' }).click()
  await expect(page).toHaveURL('/query')
  const editor = page.getByRole('textbox', { name: 'Expression A' })
  await editor.click()
  await page.keyboard.type('sum by (service_name) (rate(traces_span_metrics_ca')
  const option = page.getByRole('option', { name: /^traces_span_metrics_calls_total/ })
  await expect(option).toBeVisible()
  await expect(option).toHaveAttribute('aria-selected', 'true')
  await accessible(page)
  await expect(async () => {
    await page.keyboard.press('Enter') // a list that has only just opened takes no key
    await expect(editor).toContainText('traces_span_metrics_calls_total', { timeout: 1_000 })
  }).toPass()
  await page.keyboard.type('{service_na')
  await expect(page.getByRole('option', { name: /^service_name\b(?!space)/ }).first()).toBeVisible()
  await page.keyboard.press('Escape')
  await page.keyboard.type('me="')
  await expect(page.getByRole('option', { name: 'checkout' })).toBeVisible()
  await editor.fill(calls)
  await editor.press('Enter')
  await expect(page).toHaveURL(/g0\.expr=sum/)
  await expect(page.getByRole('img', { name: /^Graph of query A: .* now / })).toBeVisible()
  const legend = page.getByRole('list', { name: 'Series' })
  const one = legend.getByRole('button', { name: /^checkout/ })
  await expect(one).toHaveAttribute('aria-pressed', 'true')
  await legend.getByRole('button', { name: /^frontend/ }).click()
  await expect(one).toHaveAttribute('aria-pressed', 'false')
  await one.click({ modifiers: ['Control'] })
  await expect(one).toHaveAttribute('aria-pressed', 'true')
  await page.getByRole('button', { name: 'Clear the filter' }).click()
  await accessibleEverywhere(page)
})

test('drawing on the graph zooms the page', async ({ page }) => {
  await page.goto(`/query?g0.expr=${encodeURIComponent(calls)}`)
  const plot = page.locator('.u-over')
  await expect(page.getByRole('list', { name: 'Series' })).toBeVisible()
  const box = await plot.boundingBox()
  if (box === null) throw new Error('no plot')
  await page.mouse.move(box.x + box.width * 0.9, box.y + 50)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width * 0.95, box.y + 60, { steps: 5 })
  await page.mouse.up()
  await expect(page).toHaveURL(/from=\d+&to=\d+/)
})

test('a table, a second query, CSV, the command and the way to a rule', async ({ page, context, quiet }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.goto(`/query?g0.expr=${encodeURIComponent(calls)}&from=now-5m`)
  await page.getByText('Table', { exact: true }).click()
  await expect(page).toHaveURL(/g0\.tab=table/)
  const table = page.getByRole('table', { name: 'Values of query A' })
  await expect(table.locator('[data-row]', { hasText: 'checkout' })).toHaveText(/checkout\s*[\d.]+/)
  const file = page.waitForEvent('download')
  await page.getByRole('button', { name: 'CSV' }).click()
  const text = readFileSync(await (await file).path(), 'utf8')
  expect(text).toMatch(/^service_name,time,value\r\n/)
  expect(text).toMatch(/\r\ncheckout,\d{4}-\d\d-\d\dT[\d:.]+Z,[\d.]+\r\n/)
  await page.getByRole('button', { name: 'Copy as curl' }).click()
  const command = await page.evaluate(() => navigator.clipboard.readText())
  expect(command).toContain(`/prometheus/api/v1/query' \\\n  --data-urlencode 'query=${calls}'`)
  await accessibleEverywhere(page)

  await page.getByRole('button', { name: 'Add query' }).click()
  await page.getByRole('textbox', { name: 'Expression B' }).fill('sum((')
  await page.getByRole('region', { name: 'Query B' }).getByRole('button', { name: 'Run' }).click()
  const second = page.getByRole('region', { name: 'Query B' })
  await expect(second.getByRole('alert')).toContainText('unclosed left parenthesis')
  await expect(second.locator('.cm-lintRange-error').first()).toBeVisible()
  await page.getByRole('textbox', { name: 'Expression B' }).fill('1 + 1')
  await second.getByRole('button', { name: 'Run' }).click()
  await expect(second.getByRole('img', { name: /now 2/ })).toBeVisible()
  await page.getByRole('button', { name: 'Remove query A' }).click()
  await expect(page.getByRole('textbox', { name: 'Expression A' })).toHaveText('1 + 1')
  await page.goBack()
  await expect(page.getByRole('textbox', { name: 'Expression A' })).toHaveText(calls)
  await page.getByRole('region', { name: 'Query A' }).getByRole('link', { name: 'Create alert' }).click()
  await expect(page).toHaveURL(/\/alerts\/new\?expr=sum/)
  quiet.splice(0, quiet.length, ...quiet.filter((e) => !e.includes('400')))
})

test('a metric that does not exist is said, with names like it', async ({ page }) => {
  await page.goto(`/query?g0.expr=${encodeURIComponent('rate(trace_span_metrics_calls_total[5m])')}`)
  await expect(page.getByText('0 series: no metric of the name trace_span_metrics_calls_total.')).toBeVisible()
  await accessibleEverywhere(page)
  await page.getByRole('button', { name: 'traces_span_metrics_calls_total' }).click()
  await expect(page.getByRole('list', { name: 'Series' })).toBeVisible()
  await page.getByRole('textbox', { name: 'Expression A' }).fill('traces_span_metrics_calls_total{service_name="nothing"}')
  await page.keyboard.press('Enter')
  await expect(page.getByText('the metric exists, but no series with these labels')).toBeVisible()
})

test('a metric is found in the list and becomes a query', async ({ page }) => {
  await page.goto('/query')
  await page.getByRole('button', { name: 'Browse metrics' }).click()
  await page.getByLabel('Filter metrics').fill('memory gauge')
  const row = page.getByRole('table', { name: 'Metrics' }).locator('[data-row]')
  await expect(row).toHaveText(/^process_memory_usage_bytes\s*gauge\s*\d+\s*The amount of physical memory in use\.$/)
  await accessibleEverywhere(page)
  await row.getByRole('button').click()
  await expect(page).toHaveURL(/g0\.expr=process_memory_usage_bytes/)
  await expect(page.getByRole('list', { name: 'Series' })).toBeVisible()
})
