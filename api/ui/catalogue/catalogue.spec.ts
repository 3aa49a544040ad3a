import { readFileSync, writeFileSync } from 'node:fs'
import { accessible, expect, test as page } from '../e2e/test'
import { names } from './names'

const test = page.extend({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of fixtures from the pattern
  baseURL: async ({}, use) => use(process.env.CATALOGUE_URL ?? ''),
})

// The version of Chromium that drew the pictures. Another one may draw text in another way: then nothing is compared.
const drawnBy = 'catalogue/looks/chromium.txt'
const comparable = (version: string) => readFileSync(drawnBy, 'utf8').trim() === version

for (const name of names) {
  for (const scheme of ['light', 'dark'] as const) {
    test(`${name}, ${scheme}`, async ({ page, browser }, info) => {
      const version = browser.version().split('.')[0] ?? ''
      if (info.config.updateSnapshots !== 'none') writeFileSync(drawnBy, `${version}\n`)
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' })
      await page.goto(`/?section=${name}`)
      const section = page.locator(`[data-ready="${name}"]`)
      await expect(section).toBeVisible()
      await page.evaluate(() => document.fonts.ready)
      if (comparable(version)) await expect(section).toHaveScreenshot(`${name}-${scheme}.png`)
      else info.annotations.push({ type: 'not compared', description: `drawn by another version of Chromium than ${version}` })
      await accessible(page)
    })
  }
}

test('every section of the catalogue is in one page too', async ({ page }) => {
  await page.goto('/')
  for (const name of names) await expect(page.locator(`[data-ready="${name}"]`)).toBeAttached()
})
