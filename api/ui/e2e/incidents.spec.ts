import AxeBuilder from '@axe-core/playwright'
import { expect, test } from './test'

interface Header {
  id: string
  title: string
  cause: string | null
}

test.describe.configure({ mode: 'serial' }) // the later ones look at what the first waited for

/** The open incident whose cause is known. */
async function incident(page: import('@playwright/test').Page): Promise<Header> {
  let found: Header | undefined
  await expect
    .poll(
      async () => {
        const list = (await (await page.request.get('/api/v1/incidents?state=open')).json()) as { incidents: Header[] }
        found = list.incidents.find((h) => h.cause !== null)
        return found?.cause
      },
      { timeout: 300_000 },
    )
    .toBe('payment')
  return found as Header
}

test('the first screen names the cause, and leads to the incident, a trace and its logs', async ({ page }) => {
  test.setTimeout(600_000)
  const h = await incident(page)
  await page.goto('/')
  const card = page.getByRole('region', { name: 'Incidents' })
  await expect(card).toContainText('payment')
  await expect(card).toContainText(/fails [\d.]+ % of Charge/)
  const before = await card.boundingBox()
  await card.getByRole('link', { name: 'Open incident' }).click()
  await expect(page).toHaveURL(/\/incidents\//)
  await expect(page.getByRole('heading', { level: 1 })).toContainText('payment')
  await expect(page.getByRole('region', { name: 'Timeline' })).toContainText('first failure')
  await expect(page.getByRole('table', { name: 'Where it begins' }).locator('[data-row]').first()).toContainText('payment')
  await expect(page.getByRole('region', { name: 'Alerts' })).toContainText('ErrorsInService')
  await page.getByRole('region', { name: 'Example traces' }).getByRole('link').first().click()
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}/)
  await page.goBack()

  // The link that a notification carries.
  const active = (await (await page.request.get('/api/v1/alerts/active')).json()) as {
    alerts: { state: string; incident: string | null; generator_url: string }[]
  }
  const alert = active.alerts.find((a) => a.state === 'firing' && a.incident !== null)
  if (alert !== undefined) {
    // it may have resolved meanwhile
    expect(new URL(alert.generator_url).pathname).toBe(`/incidents/${alert.incident}`)
    await page.goto(new URL(alert.generator_url).pathname)
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible()
  }
  await page.goto('/')
  expect((await card.boundingBox())?.height).toBe(before?.height)
  expect(h.id).not.toBe('')
})

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1440, 390]) {
    test(`an incident is accessible, ${colorScheme}, ${width} px`, async ({ page }) => {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 844 })
      const { incidents } = (await (await page.request.get('/api/v1/incidents')).json()) as { incidents: Header[] }
      await page.goto(`/incidents/${incidents[0]?.id}`)
      await expect(page.getByRole('region', { name: 'Comments' })).toBeVisible()
      const { violations } = await new AxeBuilder({ page }).analyze()
      const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
      expect(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join('\n')}`)).toEqual([])
      expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
    })
  }
}

test('an incident is acknowledged and commented on', async ({ page }) => {
  test.setTimeout(600_000)
  const h = await incident(page)
  await page.goto(`/incidents/${h.id}`)
  await page.getByRole('button', { name: 'Acknowledge', exact: true }).click()
  await expect(page.getByRole('button', { name: 'Withdraw acknowledgement' })).toBeVisible()
  await expect(page.locator('.page-head')).toContainText('acknowledged by')
  await page.reload()
  await page.getByRole('button', { name: 'Withdraw acknowledgement' }).click()
  await expect(page.getByRole('button', { name: 'Acknowledge', exact: true })).toBeVisible()
  const comments = page.getByRole('region', { name: 'Comments' })
  await comments.getByRole('textbox', { name: 'Comment' }).fill('rolled back to 1.4.2')
  await comments.getByRole('button', { name: 'Comment' }).click()
  await expect(comments.getByRole('listitem')).toContainText('rolled back to 1.4.2')
  await page.goto('/incidents')
  await expect(page.getByRole('table', { name: 'Incidents' }).locator('[data-row]').first()).toContainText('payment')
})

test('an incident that is not known is said to be so', async ({ page, quiet }) => {
  await page.goto('/incidents/none')
  await expect(page.getByRole('alert')).toContainText('there is no incident "none"')
  quiet.splice(0, quiet.length, ...quiet.filter((e) => !e.includes('404')))
})
