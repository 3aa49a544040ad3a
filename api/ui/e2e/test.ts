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
