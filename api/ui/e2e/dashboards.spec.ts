import { readFileSync } from 'node:fs'
import type { Page } from '@playwright/test'
import { accessibleEverywhere, choose, expect, select, test } from './test'

const panel = (page: Page, name: string) => page.getByRole('region', { name, exact: true })

test('the example shows the services, narrowed by its variable', async ({ page }) => {
  await page.goto('/')
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Dashboards' }).click()
  await expect(page).toHaveURL('/dashboards')
  await accessibleEverywhere(page)
  await page.getByRole('table', { name: 'Dashboards' }).getByRole('link', { name: 'Services (example)' }).click()
  await expect(panel(page, 'Requests').locator('b')).toHaveText(/^[\d.]+\/s$/)
  const lines = panel(page, 'Requests by service').getByRole('list', { name: 'Series' }).getByRole('button')
  await expect(lines.first()).toBeVisible()
  await expect(panel(page, 'Durations').getByRole('img', { name: /heatmap of values from 0 to / })).toBeVisible()
  await panel(page, 'Busiest operations').scrollIntoViewIfNeeded()
  await expect(panel(page, 'Busiest operations').locator('[data-row]').first()).toBeVisible()
  await accessibleEverywhere(page)
  await select(page, 'Service').click()
  await page.getByRole('option', { name: 'checkout', exact: true }).click()
  await expect(page).toHaveURL(/var-service=checkout/)
  await expect(lines).toHaveCount(1)
  await expect(lines).toHaveText(/^checkout/)
  await expect(page.getByRole('button', { name: 'Edit', exact: true })).toBeDisabled()
})

test('a dashboard is made, changed, exported, imported and deleted', async ({ page }) => {
  await page.goto('/dashboards')
  await page.getByRole('button', { name: 'New dashboard' }).click()
  await expect(page).toHaveURL(/\/dashboards\/[0-9a-f]+\?.*edit=1/)
  await page.getByLabel('Title', { exact: true }).fill('Shop at work')
  await page.getByRole('button', { name: 'Add variable' }).click()
  await page.getByLabel('Name', { exact: true }).fill('service')
  await page.getByLabel('Label', { exact: true }).fill('service_name')
  await page.getByRole('button', { name: 'Add panel' }).click()
  await page.getByLabel('Panel title').fill('Calls of $service')
  const editor = page.getByRole('textbox', { name: 'Expression' })
  await editor.fill('sum by (span_name) (rate(traces_span_metrics_calls_total{service_name="$service", job=""}[$__rate_interval]))')
  await expect(page.locator('.dash-preview').getByRole('img')).toBeVisible()
  await choose(page, 'Width', '8 of 12 columns')
  await accessibleEverywhere(page)
  await page.getByRole('button', { name: 'Done' }).click()
  await page.getByRole('button', { name: 'Add panel' }).click()
  await page.getByLabel('Panel title').fill('Notes')
  await choose(page, 'Type', 'text')
  await page.getByLabel('Text', { exact: true }).fill('# Read me\n- **first**\n- [bad](javascript:alert(1))\n<b>raw</b>')
  await choose(page, 'Width', '4 of 12 columns')
  await page.getByRole('button', { name: 'Done' }).click()
  await page.getByRole('button', { name: 'Move back Notes' }).click()
  await expect(page.locator('.dash-panel').first()).toHaveAttribute('aria-label', 'Notes')
  await expect(page.getByText(/^2 of 200 panels, [\d.]+ of 256 KiB$/)).toBeVisible()
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Shop at work' })).toBeVisible()
  await expect(page).not.toHaveURL(/edit=/)

  const notes = panel(page, 'Notes')
  await expect(notes.getByRole('heading', { name: 'Read me' })).toBeVisible()
  await expect(notes).toContainText('[bad](javascript:alert(1))')
  await expect(notes).toContainText('<b>raw</b>')
  await expect(notes.getByRole('link')).toHaveCount(0)
  await choose(page, 'service', 'checkout')
  await expect(page).toHaveURL(/var-service=checkout/)
  const chart = panel(page, 'Calls of checkout')
  await expect(chart.getByRole('list', { name: 'Series' }).getByRole('button').first()).toBeVisible()
  await page.reload()
  await expect(chart.getByRole('list', { name: 'Series' }).getByRole('button').first()).toBeVisible()
  const plot = await chart.locator('.u-over').boundingBox()
  if (plot === null) throw new Error('no plot')
  await page.mouse.move(plot.x + plot.width * 0.8, plot.y + 30)
  await page.mouse.down()
  await page.mouse.move(plot.x + plot.width * 0.95, plot.y + 40, { steps: 5 })
  await page.mouse.up()
  await expect(page).toHaveURL(/from=\d+&to=\d+/)

  const file = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Export', exact: true }).click()
  const saved = readFileSync(await (await file).path(), 'utf8')
  expect(JSON.parse(saved)).toMatchObject({ format: 'watchingcat/dashboard/1', title: 'Shop at work' })

  await page.getByRole('link', { name: 'Dashboards' }).last().click()
  await page.getByRole('button', { name: 'Import' }).click()
  await page.getByLabel('JSON').fill(saved.replace('Shop at work', 'Shop again'))
  await page.getByRole('button', { name: 'Read' }).click()
  await expect(page.getByText('Shop again: 2 panels, 1 variables. Nothing is left out.')).toBeVisible()
  await page.getByRole('button', { name: 'Create dashboard' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Shop again' })).toBeVisible()

  await page.keyboard.press('Control+k')
  await page
    .getByRole('combobox', { name: 'Go to' })
    .or(page.getByRole('textbox', { name: 'Go to' }))
    .first()
    .fill('shop at')
  await page.getByRole('option', { name: /Shop at work/ }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Shop at work' })).toBeVisible()

  await page.goto('/dashboards')
  for (const name of ['Shop at work', 'Shop again']) {
    const row = page.getByRole('table', { name: 'Dashboards' }).locator('[data-row]', { hasText: name })
    await row.getByRole('button', { name: 'Delete' }).click()
    await row.getByRole('button', { name: 'Really delete' }).click()
    await expect(row).toHaveCount(0)
  }
})

test('a query is added to a dashboard; what is wrong is said at saving; another version is not overwritten', async ({ page, quiet }) => {
  await page.goto(`/query?g0.expr=${encodeURIComponent('sum(rate(traces_span_metrics_calls_total{job=""}[1m]))')}`)
  await page.getByRole('button', { name: 'Add to dashboard' }).click()
  await page.getByRole('menuitem', { name: 'New dashboard' }).first().click()
  await expect(page).toHaveURL(/\/dashboards\/[0-9a-f]+/)
  const id = new URL(page.url()).pathname.split('/').at(-1) as string
  await page.getByRole('button', { name: /^Edit sum/ }).click()
  await page.getByRole('textbox', { name: 'Expression' }).fill('sum((')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await expect(page.getByText(/panel 1 "sum.*": query 1: .*unclosed left parenthesis/).first()).toBeVisible()
  await page.getByRole('textbox', { name: 'Expression' }).fill('vector(1)')
  const other = await page.request.put(`/api/v1/dashboards/${id}`, { data: { title: 'Taken' }, headers: { 'X-Requested-With': 'page' } })
  expect(other.status()).toBe(200)
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await expect(page.getByText('the object was changed since it was read')).toBeVisible()
  await page.request.delete(`/api/v1/dashboards/${id}`, { headers: { 'X-Requested-With': 'page' } })
  quiet.splice(0, quiet.length, ...quiet.filter((e) => !/40[04]|412/.test(e)))
})

test('a dashboard of Grafana is imported, and what is different is listed by panel', async ({ page }) => {
  const grafana = {
    title: 'From Grafana',
    schemaVersion: 39,
    templating: {
      list: [{ name: 'svc', type: 'query', query: 'label_values(traces_span_metrics_calls_total, service_name)', includeAll: true }],
    },
    panels: [
      {
        type: 'timeseries',
        title: 'Rate',
        gridPos: { x: 0, y: 0, w: 12, h: 8 },
        targets: [
          {
            refId: 'A',
            expr: 'sum(rate(traces_span_metrics_calls_total{service_name=~"[[svc]]"}[$__rate_interval]))',
            legendFormat: 'all',
          },
        ],
      },
      { type: 'gauge', title: 'Up', gridPos: { x: 12, y: 0, w: 6, h: 8 }, targets: [{ refId: 'A', expr: 'vector(3)' }], repeat: 'svc' },
      { type: 'nodeGraph', title: 'Nodes', gridPos: { x: 18, y: 0, w: 6, h: 8 }, targets: [] },
    ],
  }
  await page.goto('/dashboards')
  await page.getByRole('button', { name: 'Import' }).click()
  await page
    .getByLabel('or a file')
    .setInputFiles({ name: 'g.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(grafana)) })
  const differences = page.getByLabel('Differences')
  await expect(differences).toContainText('type "gauge" is shown as stat')
  await expect(differences).toContainText('repetition by $svc: shown once, for all chosen values')
  await expect(differences).toContainText('panels of type "nodeGraph" are not supported; shown as text with their queries')
  await accessibleEverywhere(page)
  await page.getByRole('button', { name: 'Create dashboard' }).click()
  await expect(panel(page, 'Up').locator('b')).toHaveText('3')
  await expect(panel(page, 'Rate').getByRole('button', { name: /^all/ })).toBeVisible()
  await expect(panel(page, 'Nodes')).toContainText('Not shown: a panel of type nodeGraph.')
})
