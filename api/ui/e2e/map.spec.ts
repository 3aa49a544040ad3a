import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { type SpanSpec, sendTrace, spanID } from './spans'
import { choose, expect, test } from './test'

const box = (page: Page, name: string) => page.locator('.map-box').filter({ has: page.getByText(name, { exact: true }) })
const slider = (page: Page) => page.getByRole('slider', { name: 'Moment shown' })
const meta = { source: 'view', since: null, up_to: null, lag_ms: 0, partial: false, warnings: [], view_version: 0 }

async function violations(page: Page): Promise<string[]> {
  const found = await new AxeBuilder({ page }).include('main').analyze()
  return found.violations.map((v) => `${v.id}: ${v.nodes[0]?.html}`)
}

/** The smallest text of the drawing as it is on the screen, in pixels. */
function smallestText(page: Page): Promise<number> {
  return page.locator('.drawing').evaluate((drawing) => {
    const zoom = new DOMMatrix(getComputedStyle(drawing.querySelector('.map-plane') as Element).transform).a
    let least = Number.POSITIVE_INFINITY
    const walk = document.createTreeWalker(drawing, NodeFilter.SHOW_TEXT)
    for (let n = walk.nextNode(); n; n = walk.nextNode()) {
      const el = n.parentElement
      if (!n.textContent?.trim() || el === null || !el.checkVisibility()) continue
      const size = Number.parseFloat(getComputedStyle(el).fontSize)
      if (size > 0) least = Math.min(least, size * zoom)
    }
    return least
  })
}

/** Services that call one another in layers of ten, as a server answers them. Of every fortieth most calls fail. */
function system(count: number, namespace?: (i: number) => string) {
  const name = (i: number) => `service-${String(i).padStart(4, '0')}`
  const dimensions = (i: number) => (namespace ? { 'service.namespace': namespace(i) } : undefined)
  const fails = (i: number) => i % 40 === 7
  const edges = Array.from({ length: count - 1 }, (_, j) => {
    const i = j + 1
    return [Math.floor(i / 3), (i * 7) % i]
      .filter((from, n, all) => all.indexOf(from) === n && from !== i)
      .map((from) => ({
        client: name(from),
        client_type: 'service',
        client_dimensions: dimensions(from),
        server: name(i),
        server_type: 'service',
        server_dimensions: dimensions(i),
        connection_type: '',
        calls: 900,
        failed: fails(i) ? 400 : 0,
        client_p95_ms: 12,
        server_p95_ms: 10,
      }))
  }).flat()
  const services = Array.from({ length: count }, (_, i) => ({
    name: name(i),
    dimensions: dimensions(i),
    health: fails(i) ? 'failing' : 'ok',
    reason: fails(i) ? 'fails 44 % of its calls, 0.2 % before' : 'as before',
    now: { rate: 12.3, error_rate: fails(i) ? 0.44 : 0.001, p95_ms: 123 },
    before: { rate: 12.1, error_rate: 0.002, p95_ms: 74 },
    last_seen: new Date().toISOString(),
  }))
  const nodes = services.map((s) => ({ name: s.name, dimensions: s.dimensions, type: 'service' }))
  return { map: { nodes, edges, unpaired: [], meta }, health: { services, total: count, now: {}, baseline: null, meta } }
}

/** The page shows such a system instead of the demo. */
async function show(page: Page, s: ReturnType<typeof system>): Promise<void> {
  await page.route('**/api/v1/servicemap?*', (route) => route.fulfill({ json: s.map }))
  await page.route('**/api/v1/servicehealth?*', (route) => route.fulfill({ json: s.health }))
}

/** A range that is over is read by GET, so the tests decide what it holds. */
const past = (): string => {
  const end = Math.floor(Date.now() / 1000) - 60
  return `from=${end - 900}&to=${end}`
}

test('of 200 services the first view shows those that are not ok, and every text can be read', async ({ page }) => {
  await show(page, system(200))
  await page.goto(`/map?${past()}`)
  await expect(page.locator('.map-box').first()).toBeVisible()
  await expect.poll(() => page.locator('.map-failing').count()).toBeGreaterThan(0)
  expect(await page.locator('.map-failing').evaluateAll((all) => all.some((b) => b.getBoundingClientRect().top > 0))).toBe(true)
  expect(await smallestText(page)).toBeGreaterThanOrEqual(11)
  // No box covers another.
  const covered = await page.locator('.map-box').evaluateAll((all) => {
    const r = all.map((b) => b.getBoundingClientRect())
    return r.some((a, i) => r.some((b, j) => j > i && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom))
  })
  expect(covered).toBe(false)
  // Further out there is no text rather than small text.
  for (let i = 0; i < 4; i++) await page.getByRole('button', { name: 'Zoom out' }).click()
  expect(await smallestText(page)).toBeGreaterThanOrEqual(11)
  await expect(page.locator('.map-name').first()).toBeHidden()
  await page.getByRole('button', { name: 'Back to the first view' }).click()
  await expect(page.locator('.map-name').first()).toBeVisible()
  // A hovered box stays in sight with all others.
  const first = page.locator('.map-failing').first()
  await first.hover()
  await expect(page.locator('.map-label').first()).toBeVisible()
  expect(await smallestText(page)).toBeGreaterThanOrEqual(11)
  const buried = await page.locator('.map-label').evaluateAll((labels) => {
    const boxes = [...document.querySelectorAll('.map-box')].map((b) => b.getBoundingClientRect())
    return labels.some((l) => {
      const a = l.getBoundingClientRect()
      return boxes.some((b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
    })
  })
  expect(buried).toBe(false)
})

test('a box at the border of the drawing is dragged, and opens on one click', async ({ page }) => {
  await show(page, system(200))
  await page.goto(`/map?${past()}`)
  const failing = page.locator('.map-failing').first()
  await expect(failing).toBeVisible()
  const [drawing, before] = [await page.locator('.drawing').boundingBox(), await failing.boundingBox()]
  if (drawing === null || before === null) throw new Error('no place on the screen')
  const x = before.x + before.width / 2
  const y = before.y + before.height / 2
  await page.mouse.move(x, y)
  await page.mouse.down()
  await page.mouse.move(x, drawing.y + 8, { steps: 5 })
  await page.mouse.up()
  await expect(page.getByRole('complementary')).toHaveCount(0)
  await failing.blur() // the click has to bring the focus too
  await page.mouse.click(x, drawing.y + 8)
  await expect(page.getByRole('complementary')).toHaveCount(1)
})

test('2,000 services are namespaces that open, and each can be found', async ({ page }) => {
  await show(
    page,
    system(2_000, (i) => `team-${String(Math.floor(i / 100)).padStart(2, '0')}`),
  )
  await page.goto(`/map?${past()}`)
  await expect(box(page, 'team-03').or(page.locator('.map-box').first())).toBeVisible()
  await page.getByRole('combobox', { name: 'Find on the map' }).fill('1234')
  await page.getByRole('option', { name: 'service-1234' }).click()
  await expect(page).toHaveURL(/sel=service-1234/)
  await expect(page).toHaveURL(/focus=service-1234/)
  await expect(box(page, 'service-1234')).toBeVisible()
  await expect(page.getByRole('complementary', { name: 'service-1234 on the map' })).toBeVisible()
  expect(await smallestText(page)).toBeGreaterThanOrEqual(11)
  const near = await page.locator('.map-box').count()
  await page.getByText('depth 2').click()
  await expect(page).toHaveURL(/depth=2/)
  await expect.poll(() => page.locator('.map-box').count()).toBeGreaterThan(near)
  await page.reload()
  await expect(box(page, 'service-1234')).toBeVisible()
  await page.getByRole('button', { name: 'Without Neighbourhood of' }).click()
  await page.getByRole('button', { name: 'Close the panel' }).click()
  const group = page.locator('.map-group').first()
  const name = await group.locator('.map-name').textContent()
  await group.focus()
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/open=/)
  await expect(page.getByRole('button', { name: 'Without Namespace' })).toBeVisible()
  await expect(box(page, name ?? '')).toHaveCount(0)
  await expect(
    page
      .locator('.map-service')
      .filter({ hasText: new RegExp(`service-${name?.replace('team-', '')}`) })
      .first(),
  ).toBeVisible()
  await page.getByLabel('slow or failing only').check()
  await expect(page).toHaveURL(/only=failing/)
  await expect.poll(() => page.locator('.map-group').count()).toBe(0)
})

test('a click opens the panel, and from there lead the traces; the keyboard does the same', async ({ page }) => {
  await page.goto('/map?focus=checkout')
  await box(page, 'checkout').click()
  const panel = page.getByRole('complementary', { name: 'checkout on the map' })
  await expect(panel).toContainText('Calls in')
  await expect(panel.getByRole('table', { name: 'Incoming requests' })).toContainText('/s')
  await expect(page).toHaveURL(/sel=checkout/)
  await panel.getByRole('button', { name: 'payment', exact: true }).click()
  await expect(page.getByRole('complementary', { name: 'payment on the map' })).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('complementary')).toHaveCount(0)
  await expect(page).not.toHaveURL(/sel=/)
  await expect(box(page, 'payment')).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('complementary', { name: 'payment on the map' })).toBeVisible()
  await page.keyboard.press('ArrowRight')
  await expect(page.locator('.map-box:focus')).toHaveCount(1)
  await expect(box(page, 'payment')).not.toBeFocused()
  await page.getByRole('button', { name: 'Neighbourhood', exact: true }).click()
  await expect(page).toHaveURL(/focus=payment/)
  await expect(box(page, 'frontend')).toHaveCount(0)
  await expect(box(page, 'checkout')).toBeVisible()
  await page.getByRole('link', { name: 'Traces' }).last().click()
  await expect(page).toHaveURL(/\/traces\?service=payment/)
  await expect(page.locator('[data-row]').first()).toBeVisible()
})

/** A service that fails all calls of another, so many milliseconds ago. */
async function failed(client: string, server: string, ago: number): Promise<void> {
  const spans = Array.from({ length: 10 }, (_, i): SpanSpec[] => [
    { service: client, name: 'Order', id: spanID(2 * i), at: i * 20, took: 15, kind: 3, error: true },
    { service: server, name: 'Take', id: spanID(2 * i + 1), parent: spanID(2 * i), at: i * 20 + 1, took: 10, kind: 2, error: true },
  ]).flat()
  const id = Array.from({ length: 32 }, () => Math.floor(Math.random() * 16).toString(16)).join('')
  await sendTrace(process.env.E2E_RECEIVER ?? '', id, spans, ago)
}

test('ten minutes ago is on the map', async ({ page }) => {
  await failed('old-shop', 'old-bank', 600_000)
  const asked: URL[] = []
  page.on('request', (r) => r.url().includes('/api/v1/service') && asked.push(new URL(r.url())))
  const then = Math.floor(Date.now() / 1000) - 570
  await page.goto('/map?q=old-')
  await expect(box(page, 'old-bank')).toContainText('no data')
  await slider(page).focus()
  await page.keyboard.press('Home')
  await expect(page).toHaveURL(/at=\d+/)
  await page.getByRole('button', { name: 'Back to the end' }).click()
  await expect(page).not.toHaveURL(/at=/)
  for (let i = 0; i < 56; i++) await page.keyboard.press('ArrowLeft')
  await page.goto(`/map?q=old-&at=${Math.round(then / 10) * 10}`)
  await expect(box(page, 'old-bank')).toContainText('failing')
  await expect(box(page, 'old-bank')).toContainText('100 %')
  await expect(slider(page)).toHaveAttribute('aria-valuetext', /(9|10) min before the end/)
  await expect
    .poll(() => asked.some((u) => u.pathname.endsWith('/servicehealth') && Math.abs(Number(u.searchParams.get('end')) - then) <= 10))
    .toBe(true)
  await expect(page.getByRole('table', { name: 'Edges' }).locator('[data-row]')).toHaveCount(1)
  await page.getByRole('button', { name: 'One step later' }).click()
  await expect(page).not.toHaveURL(new RegExp(`at=${Math.round(then / 10) * 10}`))
})

test('the last moment chosen stands, however fast it follows', async ({ page }) => {
  await page.goto('/map')
  await slider(page).focus()
  await page.keyboard.press('Home')
  await expect(page).toHaveURL(/at=\d+/)
  // In one task: the key moves the slider, the button takes it back before a delayed move can come.
  await page.evaluate(() => {
    document.activeElement?.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }))
    const back = [...document.querySelectorAll('button')].find((b) => b.textContent === 'Back to the end')
    back?.click()
  })
  await expect(page).not.toHaveURL(/at=/)
  await page.waitForTimeout(600) // longer than a delayed move waits
  await expect(page).not.toHaveURL(/at=/)
})

test('the range plays from its begin to its end, and stops when a moment is chosen', async ({ page }) => {
  await page.goto('/map?range=5m')
  const play = page.getByRole('button', { name: 'Play the range' })
  const pause = page.getByRole('button', { name: 'Pause the replay' })
  await page.getByText('4×').click()
  await expect(box(page, 'checkout')).toBeVisible()
  await play.click()
  await expect(page).toHaveURL(/at=\d+/)
  const first = new URL(page.url()).searchParams.get('at')
  await expect(page).not.toHaveURL(new RegExp(`at=${first}`))
  await page.keyboard.press('p')
  await expect(play).toBeVisible()
  await page.keyboard.press('p')
  await expect(pause).toBeVisible()
  await page.getByRole('button', { name: 'One step earlier' }).click()
  await expect(play).toBeVisible()
  // To the end: from close to it, so that it takes few steps.
  await slider(page).focus()
  await page.keyboard.press('End')
  for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowLeft')
  await expect(page).toHaveURL(/at=\d+/)
  await play.click()
  await expect(play).toBeVisible()
  await expect(page).not.toHaveURL(/at=/)
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog', { name: 'Keyboard' })).toContainText('play or pause the range')
})

test('a pinned moment is compared with now and with another', async ({ page }) => {
  await failed('pin-shop', 'pin-bank', 600_000)
  const asked: URL[] = []
  page.on('request', (r) => r.url().includes('compare_start') && asked.push(new URL(r.url())))
  const then = (Math.round(Date.now() / 10_000) - 57) * 10
  await page.goto(`/map?q=pin-&at=${then}`)
  await expect(box(page, 'pin-bank')).toContainText('100 %')
  await page.getByRole('button', { name: 'Pin', exact: true }).click()
  await expect(page).toHaveURL(new RegExp(`pin=${then}`))
  await expect(page).not.toHaveURL(/at=/)
  const differences = page.getByRole('table', { name: 'Differences' }).locator('[data-row]')
  await expect(differences).toHaveCount(1)
  await expect(differences).toContainText('gone')
  await expect(box(page, 'pin-bank')).toContainText('gone')
  await expect(page.locator('.map-line-gone')).toHaveCount(1)
  expect(asked[0]?.searchParams.get('compare_end')).toBe(String(then))
  await slider(page).focus()
  await page.keyboard.press('ArrowLeft')
  await expect(page).toHaveURL(/at=\d+/)
  await expect.poll(() => asked.at(-1)?.searchParams.get('end')).toBe(new URL(page.url()).searchParams.get('at'))
  await choose(page, 'Compare with', 'nothing')
  await expect(differences).toHaveCount(0)
  await expect(page).not.toHaveURL(/pin=/)
})

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme })
    test('the map has no findings of axe', async ({ page }) => {
      await page.goto('/map')
      await expect(page.locator('.map-box').first()).toBeVisible()
      expect(await violations(page)).toEqual([])
      await page.goto('/map?focus=checkout')
      await box(page, 'checkout').click()
      await expect(page.getByRole('complementary')).toBeVisible()
      expect(await violations(page)).toEqual([])
      await page.goto(`/map?pin=${Math.floor(Date.now() / 1000) - 30}&focus=checkout`)
      await expect(page.getByRole('table', { name: 'Differences' })).toBeVisible()
      await expect(box(page, 'checkout')).toBeVisible()
      expect(await violations(page)).toEqual([])
    })
  })
}

test('names that turn the direction of writing do not turn their box', async ({ page }) => {
  const s = system(3)
  for (const e of s.map.edges) if (e.client === 'service-0000') e.client = '\u202Eevil'
  await show(page, s)
  await page.goto(`/map?${past()}`)
  await expect(page.locator('.map-box bdi', { hasText: '‹202E›evil' })).toHaveCount(1)
})

test('on a phone the map is a table', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 })
  await page.goto('/map')
  const edges = page.getByRole('table', { name: 'Edges' }).locator('[data-row]')
  await expect.poll(() => edges.count()).toBeGreaterThan(20)
  await expect(page.locator('.drawing')).toHaveCount(0)
  await expect(slider(page)).toBeVisible()
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
})
