import AxeBuilder from '@axe-core/playwright'
import { test as base, expect, type Locator, type Page } from '@playwright/test'

/** Every test also fails on errors in the browser's console, which is where a violated content security policy shows. */
export const test = base.extend<{ quiet: string[] }>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of fixtures from the pattern
  baseURL: async ({}, use) => use(process.env.WATCHINGCAT_URL ?? ''),
  quiet: [
    async ({ page }, use) => {
      const errors: string[] = []
      page.on('console', (m) => m.type() === 'error' && errors.push(m.text()))
      page.on('pageerror', (e) => errors.push(String(e)))
      await use(errors)
      expect(errors).toEqual([])
    },
    { auto: true },
  ],
})

/** The input of a select by its label. */
export const select = (scope: Page | Locator, label: string): Locator =>
  scope.getByLabel(label, { exact: true }).and(scope.locator('input:not([type=hidden])'))

/** Opens the select with this label and takes the option with this text. */
export async function choose(scope: Page | Locator, label: string, option: string): Promise<void> {
  await select(scope, label).click()
  const page = 'page' in scope ? scope.page() : scope
  await page.getByRole('option', { name: option, exact: true }).click()
}

/** What opens a part of the page: of details it was the summary. */
export const head = (scope: Page | Locator): Locator => scope.locator('.disclosure-head')

export { expect }

/** No finding of axe that is serious, and nothing outside of the landmarks. */
export async function accessible(page: Page) {
  const { violations } = await new AxeBuilder({ page }).analyze()
  const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical' || v.id === 'region')
  expect(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join('\n')}`)).toEqual([])
}

/** The same in light and dark, wide and narrow. */
export async function accessibleEverywhere(page: Page) {
  await accessible(page)
  await page.emulateMedia({ colorScheme: 'dark' })
  await accessible(page)
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 390, height: 844 })
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
  await accessible(page)
  await page.setViewportSize({ width: 1440, height: 900 })
}
