import { accessibleEverywhere, expect, head, test } from './test'

test('a verification is started, compares cells, and its result stays', async ({ page }) => {
  await page.goto('/pipeline')
  const part = page.getByRole('region', { name: 'Verifications' })
  await expect(part.getByText('No verifications yet.')).toBeVisible()
  await expect(part.getByText('The continuous comparison is off.')).toBeVisible()
  const start = part.getByRole('button', { name: 'Start a verification' })
  await expect(start).toBeEnabled({ timeout: 240_000 }) // once a minute of the demo is over and settled
  await start.click()
  const row = part.getByRole('table', { name: 'Verifications' }).locator('tbody tr').first()
  await expect(row).toContainText('all equal', { timeout: 60_000 })
  await head(row).click()
  await expect(row).toContainText('records read')
})

test('a verification that differs shows each cell, and one that runs is canceled', async ({ page }) => {
  const at = '2026-11-23T10:00:00Z'
  const common = {
    from: at,
    to: '2026-11-23T10:10:00Z',
    minutes: 10,
    skipped: 1,
    records: 5_000,
    uncertain: 3,
    busy_s: 1.2,
    began: at,
    updated: at,
  }
  const none = { differing: 0, differences: [], error: null }
  const cell = { view: 'spans', series: 'payment Charge', bucket: at, topics: '7', views: '8' }
  const running = { ...common, ...none, id: '2', state: 'running', compared: 4, cells: 900 }
  const differs = { ...common, ...none, id: '1', state: 'finished', compared: 9, cells: 2_000, differing: 30, differences: [cell] }
  const failed = { ...common, ...none, id: '0', state: 'failed', compared: 0, cells: 0, error: 'the broker does not answer' }
  const continuous = { ...common, ...none, id: '', state: 'running', compared: 600, cells: 71_234 }
  await page.route('**/api/v1/verifications', (route) =>
    route.fulfill({ json: { verifications: [running, differs, failed], continuous, from: at, to: at } }),
  )
  const done: string[] = []
  await page.route('**/api/v1/verifications/*', (route) => {
    done.push(route.request().method())
    running.state = 'canceled'
    return route.fulfill({ status: 204 })
  })
  await page.goto('/pipeline')
  const part = page.getByRole('region', { name: 'Verifications' })
  await expect(part.getByText('all equal')).toBeVisible()
  await expect(part.getByText('71.2K cells')).toBeVisible()
  await expect(part.getByRole('button', { name: 'Start a verification' })).toBeDisabled()
  const row = (text: string) => part.getByRole('table', { name: 'Verifications' }).locator('tbody > tr').filter({ hasText: text })
  await expect(row('failed')).toContainText('the broker does not answer')
  await head(row('30 differ')).click()
  await expect(part.getByText('The first 1 of 30 cells that differ:')).toBeVisible()
  await expect(part.getByRole('list', { name: 'Cells that differ' })).toContainText('payment Charge')
  await accessibleEverywhere(page)
  await row('running, 5 of 10 min').getByRole('button', { name: 'Cancel' }).click()
  await part.getByRole('button', { name: 'Really cancel' }).click()
  await expect(row('canceled')).toBeVisible()
  expect(done).toEqual(['DELETE'])
})

test('a backup is made and listed, and one that fails says why', async ({ page, quiet }, info) => {
  await page.goto('/pipeline')
  const part = page.getByRole('region', { name: 'Backups' })
  await expect(part.getByText('No complete backup is known.')).toBeVisible()
  await expect(part.getByText('No backups yet.')).toBeVisible()
  await part.getByRole('button', { name: 'Start a backup' }).click() // no location is configured
  await expect(part.getByRole('alert')).toBeVisible()
  quiet.length = 0 // the browser logs each answer of 400
  await part.getByLabel('Location').fill(info.outputPath('backups'))
  await part.getByRole('button', { name: 'Start a backup' }).click()
  const rows = part.getByRole('table', { name: 'Backups' }).locator('tbody tr')
  await expect(rows.first()).toContainText('complete', { timeout: 60_000 })
  await expect(rows.first()).toContainText('a user')
  await expect(part.getByText(/^The last complete backup is .* old\.$/)).toBeVisible()
  await accessibleEverywhere(page)
  await part.getByLabel('Location').fill('/proc/no/such/folder')
  await part.getByRole('button', { name: 'Start a backup' }).click()
  await expect(rows.filter({ hasText: 'failed' }).or(part.getByRole('alert')).first()).toBeVisible()
  quiet.length = 0
})
