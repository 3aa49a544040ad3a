import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { expect, test } from './test'

const dialog = (page: Page) => page.getByRole('dialog', { name: 'Go to' })
const field = (page: Page) => dialog(page).getByRole('combobox', { name: 'Go to' })

/** Goes to a page; keys are heard once its heading is there. */
async function at(page: Page, path: string) {
  await page.goto(path)
  await page.getByRole('heading', { level: 1 }).waitFor()
}

test('a service is found by keyboard, and the range is kept', async ({ page }) => {
  await at(page, '/logs?from=now-1h')
  await page.keyboard.press('Control+k')
  await expect(field(page)).toBeFocused()
  await page.keyboard.type('checko')
  const option = dialog(page).getByRole('option', { name: 'checkout', exact: true })
  await expect(option).toHaveAttribute('data-combobox-selected', 'true')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/\/services\/checkout\?from=now-1h$/)
  await expect(page.getByRole('heading', { level: 1, name: 'checkout' })).toBeVisible()
  await expect(dialog(page)).toBeHidden()
})

test('a pasted trace ID or traceparent leads to the trace', async ({ page, request }) => {
  await page.goto('/')
  let id = ''
  await expect
    .poll(async () => {
      const answer = (await (await request.get('/api/v1/traces?limit=1')).json()) as { traces: { traceId: string }[] }
      id = answer.traces[0]?.traceId ?? ''
      return id
    })
    .toMatch(/^[0-9a-f]{32}$/)
  for (const text of [id, `00-${id}-00f067aa0ba902b7-01`]) {
    await page.goto('/')
    await page.getByRole('button', { name: 'Go to a service, page or trace' }).click()
    await field(page).fill(text)
    await expect(dialog(page).getByRole('option')).toHaveCount(1)
    await page.keyboard.press('Enter')
    await expect(page).toHaveURL(new RegExp(`/traces/${id}$`))
  }
})

test('arrows move, Escape closes, and a typed range changes the range', async ({ page }) => {
  await at(page, '/services/checkout')
  await page.keyboard.press('Control+k')
  const selected = dialog(page).locator('[data-combobox-selected]')
  await expect(selected).toHaveText('Overview')
  await page.keyboard.press('ArrowDown')
  await expect(selected).toHaveText('Map')
  await page.keyboard.press('ArrowUp')
  await expect(selected).toHaveText('Overview')
  await page.keyboard.press('Escape')
  await expect(dialog(page)).toBeHidden()
  await page.keyboard.press('Control+k')
  await field(page).fill('no such thing')
  await expect(dialog(page)).toContainText('Nothing matches this text.')
  await page.keyboard.press('Escape')
  await expect(dialog(page)).toBeHidden()
  await page.keyboard.press('Control+k')
  await field(page).fill('last 24 h')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/\/services\/checkout\?from=now-24h$/)
})

test('what the arrows chose stays chosen while lists arrive', async ({ page }) => {
  let answer = () => {}
  const asked = new Promise<void>((resolve) => {
    void page.route('**/api/v1/saved-views', async (route) => {
      resolve()
      await new Promise<void>((r) => {
        answer = r
      })
      const view = { id: 'v1', name: 'Overdue orders', page: 'traces', query: '', saved_by: 'ann', saved_at: '2026-01-01T00:00:00Z' }
      await route.fulfill({ json: { views: [view] } })
    })
  })
  await at(page, '/services/checkout')
  await page.keyboard.press('Control+k')
  await asked
  await field(page).fill('er')
  const selected = dialog(page).locator('[data-combobox-selected]')
  await expect(dialog(page)).toContainText('Loading saved views…')
  const first = await selected.textContent()
  await page.keyboard.press('ArrowDown')
  const second = await selected.textContent()
  expect(second).not.toBe(first)
  answer()
  await expect(dialog(page).getByRole('option', { name: 'Overdue orders' })).toHaveCount(1)
  await expect(selected).toHaveText(second ?? '')
  await page.keyboard.press('ArrowUp')
  await expect(selected).not.toHaveText(second ?? '')
})

test('it opens from a text field, and not over another dialog', async ({ page }) => {
  await at(page, '/')
  await page.getByLabel('Filter services').focus()
  await page.keyboard.press('Control+k')
  await expect(field(page)).toBeFocused()
  await page.keyboard.press('Control+k')
  await expect(dialog(page)).toBeHidden()
  await page.getByRole('button', { name: 'Keyboard help' }).click()
  await expect(page.getByRole('dialog', { name: 'Keyboard' })).toContainText('CtrlK')
  await page.keyboard.press('Control+k')
  await expect(page.getByRole('dialog')).toHaveCount(1)
  await expect(dialog(page)).toBeHidden()
})

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme })
    for (const text of ['', 'c', 'no such thing']) {
      test(`it has no findings of axe with the text "${text}"`, async ({ page }) => {
        await at(page, '/')
        await page.keyboard.press('Control+k')
        await field(page).fill(text)
        await expect(dialog(page).getByRole('status')).not.toContainText('Loading')
        const { violations } = await new AxeBuilder({ page }).include('[role=dialog]').analyze()
        expect(violations).toEqual([])
      })
    }
  })
}
