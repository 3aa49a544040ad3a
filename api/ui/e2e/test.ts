import { test as base, expect } from '@playwright/test'

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

export { expect }
