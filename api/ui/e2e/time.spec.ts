import type { Page } from '@playwright/test'
import { choose, expect, test } from './test'

const rows = (page: Page, name: string) => page.getByRole('table', { name, exact: true }).locator('[data-row]')

/** The times of the newest request to a path, as the page asked. */
function watch(page: Page, path: RegExp): () => URLSearchParams {
  let last = new URLSearchParams()
  page.on('request', (r) => {
    const url = new URL(r.url())
    if (path.test(url.pathname)) last = url.searchParams
  })
  return () => last
}

async function drag(page: Page, from: number, to: number) {
  const plot = page.locator('.chart .u-over').first()
  await plot.waitFor()
  const box = await plot.boundingBox()
  if (box === null) throw new Error('no chart')
  await page.mouse.move(box.x + box.width * from, box.y + 40)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width * to, box.y + 50, { steps: 4 })
  await page.mouse.up()
}

test('dragging on a chart zooms the page, links keep it, a double click zooms out', async ({ page }) => {
  const asked = watch(page, /\/services\/checkout\/metrics$/)
  const lines = watch(page, /\/api\/v1\/logs$/)
  await page.goto('/services/checkout?range=5m')
  await drag(page, 0.2, 0.6)
  await expect(page).toHaveURL(/from=\d{10}&to=\d{10}/)
  const { from, to } = Object.fromEntries(new URL(page.url()).searchParams)
  expect(Number(to) - Number(from)).toBeGreaterThan(100)
  expect(Number(to) - Number(from)).toBeLessThan(140)
  await expect.poll(() => [asked().get('start'), asked().get('end')]).toEqual([from, to])
  await expect(page.getByRole('button', { name: 'Go to now' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Live' })).toBeHidden()

  await page.getByRole('link', { name: 'Logs', exact: true }).last().click()
  await expect(page).toHaveURL(new RegExp(`/logs\\?service=checkout&from=${from}&to=${to}$`))
  await expect.poll(() => [lines().get('start'), lines().get('end')]).toEqual([from, to])

  await page.goBack()
  const plot = page.locator('.chart .u-over').first()
  await plot.waitFor()
  await plot.dblclick()
  await expect.poll(() => page.url()).not.toContain(`from=${from}`)
  await page
    .getByRole('button', { name: 'Go to now' })
    .or(page.getByRole('button', { name: 'Live' }))
    .first()
    .waitFor()
})

test('the services of a time that is over are read, not live', async ({ page }) => {
  const asked = watch(page, /\/api\/v1\/servicetrends$/)
  const judged = watch(page, /\/api\/v1\/servicehealth$/)
  await page.goto('/')
  await expect.poll(() => rows(page, 'Services').count()).toBeGreaterThan(10)
  const now = Math.floor(Date.now() / 1000)
  await page.goto(`/?from=${now - 30}&to=${now - 10}`)
  await expect.poll(() => asked().get('end')).toBe(String(now - 10))
  await expect.poll(() => judged().get('end')).toBe(String(now - 10))
  await expect.poll(() => rows(page, 'Services').count()).toBeGreaterThan(5)
  await page.getByRole('button', { name: 'Earlier by one range' }).click()
  await expect(page).toHaveURL(new RegExp(`from=${now - 50}&to=${now - 30}`))
  await page.getByRole('button', { name: 'Go to now' }).click()
  await expect(page).toHaveURL(/from=now-20s$/)
  await expect(page.getByRole('button', { name: 'Live' })).toBeVisible()
})

test('times are typed, chosen, and shown in another zone', async ({ page }) => {
  await page.goto('/logs')
  await page.getByRole('button', { name: 'Last 15 min' }).click()
  const typed = page.getByLabel('Time range as text')
  await typed.fill('in a while')
  await typed.press('Enter')
  await expect(page.getByRole('alert')).toContainText('Not understood')
  await typed.fill('90m')
  await typed.press('Enter')
  await expect(page).toHaveURL(/from=now-90m$/)
  await page.getByRole('button', { name: 'Last 1 h 30 min' }).click()
  await page.getByLabel('Time zone').getByText('UTC').click()
  await typed.fill('2026-11-29 01:10 to 01:40')
  await typed.press('Enter')
  await expect(page).toHaveURL(/from=1795914600&to=1795916400$/)
  await expect(page.getByRole('button', { name: /11-29 01:10 to 01:40 · UTC/ })).toBeVisible()
  await page.reload()
  await expect(page.getByRole('button', { name: /11-29 01:10 to 01:40 · UTC/ })).toBeVisible()
})

test('the map compares two ranges that were chosen freely', async ({ page }) => {
  const asked = watch(page, /\/api\/v1\/servicemap$/)
  const now = Math.floor(Date.now() / 1000)
  await page.goto(`/map?from=${now - 20}&to=${now - 10}`)
  await choose(page, 'Compare with', 'another time range')
  await expect(page).toHaveURL(/compare=\d+\.\.\d+/)
  const field = page.getByLabel('Time range to compare with')
  const local = (s: number) => new Date(s * 1000).toLocaleString('sv')
  await field.fill(`${local(now - 50)} to ${local(now - 30)}`)
  await field.press('Enter')
  await expect.poll(() => [asked().get('compare_start'), asked().get('compare_end')]).toEqual([String(now - 50), String(now - 30)])
  expect([asked().get('start'), asked().get('end')]).toEqual([String(now - 20), String(now - 10)])
  await expect(rows(page, 'Differences').first()).toBeVisible()
})
