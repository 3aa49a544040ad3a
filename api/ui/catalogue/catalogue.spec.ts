import { accessible, expect, test as page } from '../e2e/test'
import { names } from './names'

const test = page.extend({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of fixtures from the pattern
  baseURL: async ({}, use) => use(process.env.CATALOGUE_URL ?? ''),
})

for (const name of names) {
  for (const scheme of ['light', 'dark'] as const) {
    test(`${name}, ${scheme}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
      await page.goto(`/?section=${name}`)
      const section = page.locator(`[data-ready="${name}"]`)
      await expect(section).toBeVisible()
      await page.evaluate(() => document.fonts.ready)
      await expect(section).toHaveScreenshot(`${name}-${scheme}.png`)
      await accessible(page)
    })
  }
}

test('every section of the catalogue is in one page too', async ({ page }) => {
  await page.goto('/')
  for (const name of names) await expect(page.locator(`[data-ready="${name}"]`)).toBeAttached()
})
