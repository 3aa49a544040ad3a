import { readFileSync } from 'node:fs'
import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { choose, expect, test } from './test'

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
  await page.getByRole('button', { name: 'Export' }).click()
  await page.getByRole('menuitem', { name: 'CSV' }).click()
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

test('histograms, native and classic, are heatmaps with counts', async ({ page }) => {
  await page.goto(`/query?g0.expr=${encodeURIComponent('sum by (service_name) (rate(rpc_server_call_duration_seconds[1m]))')}`)
  const native = page.getByRole('img', { name: /^Graph of query A: heatmap of values from [\d.]+ to [\d.]+ over time/ })
  await expect(native).toBeVisible()
  await expect(page.getByText('native histograms, which')).toHaveCount(0)
  const series = page.getByRole('list', { name: 'Series' }).getByRole('button')
  await expect(page.getByText(/^The colour shows the value of each bucket\. (\d+) of \1 series are added up;/)).toBeVisible()
  await series.first().click()
  await expect(page.getByText(/ 1 of \d+ series are added up;/)).toBeVisible()
  await page.getByText('Table', { exact: true }).click()
  const head = page.getByRole('table', { name: 'Values of query A' }).getByRole('columnheader')
  await expect(head).toHaveText([/service_name/, /Count/, /Sum/, /Average/])
  await accessibleEverywhere(page)

  const classic = 'sum by (le) (rate(traces_span_metrics_duration_milliseconds_bucket{job=""}[1m]))'
  await page.goto(`/query?g0.expr=${encodeURIComponent(classic)}`)
  await page.getByText('Heatmap', { exact: true }).click()
  await expect(page).toHaveURL(/g0\.tab=heatmap/)
  const heat = page.getByRole('img', { name: /^Heatmap of query A: heatmap of values from 0 to / })
  await expect(heat).toBeVisible()
  const tip = page.locator('.chart-tip')
  const box = await page.locator('.u-over').boundingBox()
  if (box === null) throw new Error('no plot')
  let moves = 0
  await expect(async () => {
    // A pointer that stays moves nothing: it goes back and forth.
    await page.mouse.move(box.x + box.width - 12, box.y + box.height * (moves++ % 2 === 0 ? 0.5 : 0.55))
    await expect(tip).toHaveText(/, [\d.]+ to [\d.]+: [<\d.]+/, { timeout: 1_000 })
  }).toPass()
  await accessibleEverywhere(page)
  for (const [name, starts] of [
    ['PNG', '\x89PNG'],
    ['JSON', '{\n  "query": {'],
  ] as const) {
    const file = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Export' }).click()
    await page.getByRole('menuitem', { name }).click()
    expect(readFileSync(await (await file).path(), 'latin1').startsWith(starts)).toBe(true)
  }
})

test('every chart is saved as a picture', async ({ page }) => {
  await page.goto('/services/checkout')
  await page.getByRole('button', { name: 'Export Rate' }).click()
  const file = page.waitForEvent('download')
  await page.getByRole('menuitem', { name: 'Download PNG' }).click()
  const saved = await file
  expect(saved.suggestedFilename()).toBe('Rate spans s.png')
  expect(readFileSync(await saved.path(), 'latin1').startsWith('\x89PNG')).toBe(true)
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

test('from a query to a rule: its threshold is drawn, tried over the past and saved', async ({ page }) => {
  await page.goto(`/query?g0.expr=${encodeURIComponent(calls)}`)
  await page.getByRole('link', { name: 'Create alert' }).click()
  const condition = page.getByRole('textbox', { name: 'Condition' })
  await expect(condition).toHaveText(calls)
  await expect(page).toHaveURL(/from=now-/) // as long as anything is held, not six hours of nothing
  await page.getByRole('button', { name: 'Add a threshold' }).click()
  await expect(condition).toHaveText(/> [\d.]+$/)
  const line = page.getByRole('slider', { name: 'Threshold', exact: true })
  const before = Number(await line.getAttribute('aria-valuenow'))
  expect(before).toBeGreaterThan(0)
  await expect(page.locator('.bt-words')).toContainText('would not have fired')

  const box = await line.boundingBox()
  const plot = await page.locator('.u-over').boundingBox()
  if (box === null || plot === null) throw new Error('no line')
  await page.mouse.move(box.x + 100, box.y)
  await page.mouse.down()
  await page.mouse.move(box.x + 100, plot.y + plot.height * 0.9, { steps: 8 })
  await page.mouse.up()
  const drawn = Number(await line.getAttribute('aria-valuenow'))
  expect(drawn).toBeLessThan(before / 2)
  await expect(condition).toHaveText(new RegExp(`> ${String(drawn).replace('.', '\\.')}$`))
  await page.keyboard.press('ArrowUp')
  await expect(line).not.toHaveAttribute('aria-valuenow', String(drawn))
  await page.keyboard.press('ArrowDown')
  await expect(line).toHaveAttribute('aria-valuenow', String(drawn))
  await page.getByLabel('For', { exact: true }).fill('')
  await expect(page.locator('.bt-words')).toContainText(/would have fired|was firing/)
  const strip = page.getByRole('img', { name: /^firing \d{4}/ }).first()
  await expect(async () => {
    const [s, p] = [await strip.boundingBox(), await page.locator('.u-over').boundingBox()]
    expect([s?.x, s?.width].map((n) => Math.round(n ?? 0))).toEqual([p?.x, p?.width].map((n) => Math.round(n ?? 0)))
  }).toPass()
  await accessibleEverywhere(page)
  await page.getByLabel('Name', { exact: true }).fill('Busy')
  await page.getByRole('button', { name: 'Create rule' }).click()
  await expect(page).toHaveURL(/\/alerts\?/)
  const row = page.getByRole('table', { name: 'Rules', exact: true }).locator('[data-row]', { hasText: 'Busy' })
  await row.getByRole('button', { name: 'Delete', exact: true }).click()
  await row.getByRole('button', { name: 'Really delete' }).click()
  await expect(row).toHaveCount(0)
})

test('a rule over a metric that does not exist says so', async ({ page }) => {
  await page.goto(`/alerts/new?expr=${encodeURIComponent('rate(trace_span_metrics_calls_total[5m]) > 3')}`)
  await expect(page.locator('.bt-words')).toContainText('0 series: no metric of the name trace_span_metrics_calls_total.')
  await expect(page.getByText('would not have fired')).toHaveCount(0)
  await page.getByRole('button', { name: 'traces_span_metrics_calls_total' }).click()
  await expect(page.getByRole('textbox', { name: 'Condition' })).toHaveText('rate(traces_span_metrics_calls_total[5m]) > 3')
  await expect(page.getByText(/^8 of \d+ series, those with the largest values\.$/)).toBeVisible()
  await page.getByRole('textbox', { name: 'Condition' }).fill('traces_span_metrics_calls_total{service_name="nothing"} > 3')
  await expect(page.locator('.bt-words')).toContainText('there were 0 series to compare: the rule had nothing to evaluate.')
  await expect(page.getByText('would not have fired')).toHaveCount(0)
})

test('a template is looked at as YAML, changed there and in the form', async ({ page }) => {
  await page.goto('/alerts/new')
  await choose(page, 'Template', 'Error share')
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('ServiceErrors')
  await expect(page.getByRole('slider', { name: 'Threshold', exact: true })).toHaveAttribute('aria-valuenow', '0.05')
  await page.getByText('YAML', { exact: true }).click()
  await expect(page).toHaveURL(/as=yaml/)
  const yaml = page.getByRole('textbox', { name: 'Rule as YAML' })
  await expect(yaml).toHaveValue(
    /^alert: ServiceErrors\nexpr: \|-\n {2}sum by [\s\S]* > 0\.05\nfor: 5m\nlabels:\n {2}severity: warning\nannotations:/,
  )
  await accessibleEverywhere(page)
  await page.getByRole('slider', { name: 'Threshold', exact: true }).focus()
  await page.keyboard.press('Home')
  await expect(yaml).toHaveValue(/ > 0\nfor: 5m/)
  await yaml.fill('groups:\n  - name: g\n    rules:\n      - alert: Pasted\n        expr: vector(3) > 2\n        labels: {team: shop}\n')
  await expect(page.getByRole('slider', { name: 'Threshold', exact: true })).toHaveAttribute('aria-valuenow', '2')
  await expect(page.locator('.bt-words')).toContainText(/firing|fired/)
  await yaml.fill('alert: Pasted\nexpression: x\n')
  await expect(page.getByText('Line 2: There is no field expression.')).toBeVisible()
  await page.getByText('Form', { exact: true }).click()
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('Pasted')
  await expect(page.getByLabel('Value of team')).toHaveValue('shop')
  await expect(page.getByRole('textbox', { name: 'Condition' })).toHaveText('vector(3) > 2')
})
