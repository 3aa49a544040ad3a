import { defineConfig } from '@playwright/test'
import browser from './playwright.config'

// The catalogue of components needs no running program: it is built and served here. Fonts are the page's own, motion is stopped and the clock stands still,
// so equal sources give equal pixels. Tolerated are 30 pixels of a picture, and colours that differ by less than 2 % of the contrast between black and
// white; pixels at the edges of letters and curves do not count.
export default defineConfig({
  testDir: 'catalogue',
  globalSetup: './catalogue/setup.ts',
  timeout: 300_000,
  expect: {
    timeout: 60_000,
    toHaveScreenshot: { maxDiffPixels: 30, threshold: 0.02, animations: 'disabled', caret: 'hide', scale: 'css' },
  },
  snapshotPathTemplate: 'catalogue/looks/{arg}{ext}',
  updateSnapshots: 'none',
  workers: 1,
  reporter: [['list']],
  use: {
    ...browser.use,
    viewport: { width: 1180, height: 900 },
    timezoneId: 'UTC',
    locale: 'en-GB',
    reducedMotion: 'reduce',
  },
})
