import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { largeTrace, type SpanSpec, sendTrace, spanID } from './spans'
import { choose, expect, test } from './test'

const receiver = () => process.env.E2E_RECEIVER ?? ''
const grid = (page: Page) => page.getByRole('treegrid', { name: 'Spans' })
const spans = (page: Page) => grid(page).locator('[data-row]')
const span = (page: Page, name: RegExp | string) => spans(page).filter({ hasText: name })
const panel = (page: Page) => page.getByRole('complementary', { name: /^Span / })

/** Sends a trace and waits until the server has so many of its spans. */
async function make(page: Page, id: string, list: readonly SpanSpec[]): Promise<void> {
  await sendTrace(receiver(), id, list)
  await expect
    .poll(async () => {
      const res = await page.request.get(`/api/v1/traces/${id}`)
      return res.ok() ? ((await res.json()) as { trace: { spans: unknown[] } }).trace.spans.length : 0
    })
    .toBe(list.length)
}

const large = 20_000
const drawnAtMost = 80

test('a trace of 20,000 spans draws the rows that can be seen', async ({ page }) => {
  const id = '0af7651916cd43dd8448eb211c80319c'
  await make(page, id, largeTrace(large))
  const late = large - 7
  await page.goto(`/traces/${id}?span=${spanID(late)}`)
  // The span of the link is open beside the rows, and they are scrolled to it.
  await expect(panel(page)).toContainText(String(late))
  await expect(grid(page).locator('[aria-selected=true]')).toBeInViewport()
  expect(await spans(page).count()).toBeLessThan(drawnAtMost)
  // It is folded at first, but for the way to that span.
  const rows = async () => Number(await grid(page).getAttribute('aria-rowcount')) - 1
  expect(await rows()).toBeLessThan(large / 2)
  await page.getByRole('button', { name: 'Unfold all' }).click()
  await expect.poll(rows).toBe(large)

  await grid(page).evaluate((e) => e.scrollTo(0, 0))
  await expect(span(page, 'Import everything')).toBeInViewport()
  await grid(page).evaluate((e) => e.scrollTo(0, e.scrollHeight / 2))
  await expect(span(page, 'Import everything')).toHaveCount(0)
  await expect.poll(() => spans(page).count()).toBeGreaterThan(10)
  expect(await spans(page).count()).toBeLessThan(drawnAtMost)
  expect(await page.evaluate(() => document.querySelectorAll('*').length)).toBeLessThan(2_500)

  // Each in its own order: the path of the keys ends where the trace does.
  await grid(page).focus()
  await page.keyboard.press('End')
  await expect(spans(page).last()).toHaveAttribute('aria-rowindex', String(large + 1))
  // Enter comes before the page has drawn the text, and finds its span nevertheless.
  await page.getByLabel(/^Find in trace/).evaluate(
    (e: HTMLInputElement, text) => {
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(e, text)
      e.dispatchEvent(new Event('input', { bubbles: true }))
      e.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
    },
    `row.number=${late - 5_000}`,
  )
  await expect(page.getByText('1 of 1', { exact: true })).toBeVisible()
  await expect(panel(page)).toContainText(String(late - 5_000))
  await expect(grid(page).locator('[aria-selected=true]')).toBeInViewport()

  await page.getByRole('tab', { name: 'Spans' }).click()
  const table = page.getByRole('table', { name: 'Operations of this trace' })
  await expect(table.locator('[data-row]')).toHaveCount(13 * 5 + 1)
  await page.getByRole('tab', { name: 'Flame graph' }).click()
  await expect(page.getByRole('img', { name: /^Flame graph of 20000 spans/ })).toBeVisible()
})

const stack = `shop.PaymentException: no
\tat shop.payment.Charge.run(Charge.java:88)
\tat java.base/java.util.concurrent.FutureTask.run(FutureTask.java:264)
\tat java.base/java.lang.Thread.run(Thread.java:1583)
\tat shop.payment.Server.main(Server.java:17)`
const long = 'x'.repeat(300)
const odd: SpanSpec[] = [
  {
    service: 'odd-front',
    name: 'POST /buy',
    id: spanID(1),
    at: 0,
    took: 100,
    kind: 2,
    error: true,
    attributes: { 'user.id': 9007199254740993n },
  },
  { service: 'odd-front', name: long, id: spanID(2), parent: spanID(1), at: 5, took: 20 },
  { service: 'odd-pay', name: 'Charge', id: spanID(3), parent: spanID(1), at: 30, took: 60, kind: 2, error: true },
  {
    service: 'odd-bank',
    name: '\u202eliaf 1 fo 1 \u0627\u0644\u0639',
    id: spanID(4),
    parent: spanID(3),
    at: 40,
    took: 40,
    kind: 2,
    error: true,
    attributes: { [`k.${long}`]: long },
    events: [
      {
        name: 'exception',
        at: 79,
        attributes: { 'exception.type': 'shop.PaymentException', 'exception.message': 'no', 'exception.stacktrace': stack },
      },
    ],
  },
]

test('where a trace failed, what it carries, and odd names', async ({ page }) => {
  const id = '0af7651916cd43dd8448eb211c80319d'
  await make(page, id, odd)
  for (const width of [1440, 390]) {
    await page.setViewportSize({ width, height: 900 })
    await page.goto(`/traces/${id}`)
    // One origin; those above it are only marked.
    await expect(spans(page)).toHaveCount(4)
    await expect(grid(page).getByText('failed here')).toHaveCount(1)
    await expect(grid(page).getByRole('img', { name: /^failed, because/ })).toHaveCount(2)
    // Integers of 64 bits keep their digits.
    await span(page, 'POST /buy').click()
    await expect(panel(page)).toContainText('9007199254740993')
    await page.keyboard.press('Escape')
    await expect(panel(page)).toHaveCount(0)
    // From error to error by keys, into the panel, with the stack trace line by line.
    await page.keyboard.press(']')
    await page.keyboard.press('Enter')
    await expect(panel(page)).toHaveAccessibleName(/odd-bank/)
    await expect(panel(page).getByText('at shop.payment.Charge.run(Charge.java:88)')).toBeVisible()
    await expect(panel(page).getByText('FutureTask')).toHaveCount(0)
    await panel(page).getByRole('button', { name: '2 frames of libraries' }).click()
    await expect(panel(page).getByText('FutureTask')).toBeVisible()
    const { violations } = await new AxeBuilder({ page }).include('main').analyze()
    expect(violations.map((v) => `${v.id} ${v.nodes[0]?.html}`)).toEqual([])
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
    await page.keyboard.press('Escape')
  }
})

test('a trace is compared with another', async ({ page }) => {
  const id = '0af7651916cd43dd8448eb211c80319e'
  const other = '0af7651916cd43dd8448eb211c80319f'
  const call = (n: number, name: string, parent: number | undefined, at: number, took: number): SpanSpec => ({
    service: 'compared',
    name,
    id: spanID(n),
    ...(parent === undefined ? {} : { parent: spanID(parent) }),
    at,
    took,
  })
  await make(page, id, [call(10, 'Buy', undefined, 0, 90), call(11, 'Load', 10, 10, 70), call(12, 'Retry', 10, 82, 5)])
  await make(page, other, [call(20, 'Buy', undefined, 0, 30), call(21, 'Load', 20, 10, 10)])
  await page.goto(`/traces/${id}`)
  await page.getByRole('tab', { name: 'Compare' }).click()
  await page.getByLabel('Compare with trace').fill(`http://other.example/trace/${other}`)
  await page.getByRole('button', { name: 'Compare', exact: true }).click()
  await expect(page).toHaveURL(new RegExp(`compare=${other}`))
  const load = page.getByRole('table', { name: 'Operations of both traces' }).locator('[data-row]').first()
  await expect(load).toContainText('compared Load')
  await expect(load).toContainText('+60.0')
  const changes = page.getByRole('table', { name: 'Calls that only one of them has' }).locator('[data-row]')
  await expect(changes).toHaveCount(1)
  await expect(changes).toContainText('Retry')
})

const traces = (page: Page) => page.getByRole('table', { name: 'Traces', exact: true }).locator('[data-row]')

test('traces are explored by conditions, counts, the heatmap and their id', async ({ page }) => {
  const id = (n: number) => `0af7651916cd43dd8448eb211c8032${n.toString(16).padStart(2, '0')}`
  const request = (n: number, status: bigint, took: number): SpanSpec[] => [
    {
      service: 'explored',
      name: 'Buy',
      id: spanID(100 + n),
      at: 0,
      took,
      kind: 2,
      error: status >= 500n,
      attributes: { 'http.status_code': status },
    },
  ]
  for (const [n, status, took] of [
    [0, 200n, 10],
    [1, 404n, 100],
    [2, 500n, 900],
    [3, 503n, 950],
  ] as [number, bigint, number][])
    await make(page, id(n), request(n, status, took))

  // Operators are understood, or the text is said to be wrong.
  await page.goto('/traces?service=explored')
  await expect(traces(page)).toHaveCount(4)
  const filters = page.getByRole('combobox', { name: 'Filters' })
  await filters.fill('http.status_code>=500')
  await filters.press('Enter')
  await expect(traces(page)).toHaveCount(2)
  await filters.fill('http.status_code~^50 http.status_code!=500')
  await filters.press('Enter')
  await expect(traces(page)).toHaveCount(1)
  await page.getByRole('button', { name: 'Without http.status_code >= 500' }).click()
  await page.getByRole('button', { name: 'Without http.status_code ~ ^50' }).click()
  await expect(traces(page)).toHaveCount(3)
  await filters.fill('http.status_code>=many')
  await filters.press('Enter')
  await expect(page.getByRole('alert')).toContainText('"many" is not a number')
  await expect(traces(page)).toHaveCount(3)

  // An address of before, with a condition that is wrong.
  await page.goto('/traces?service=explored&attrs=http.status_code>=many')
  await expect(page.getByRole('alert')).toContainText('"many" is not a number')
  await expect(traces(page)).toHaveCount(0)

  // Counts are filters, and exclude.
  await page.goto('/traces?service=explored')
  const status = page.getByRole('region', { name: 'Status' })
  await expect(status.getByRole('button', { name: /^not failed/ })).toContainText('2')
  await status.getByRole('button', { name: /^failed/ }).click()
  await expect(page).toHaveURL(/status=error/)
  await expect(traces(page)).toHaveCount(2)
  const codes = page.getByRole('region', { name: 'http.status_code' })
  await codes.getByRole('button', { name: 'Exclude 500' }).click()
  await expect(traces(page)).toHaveCount(1)
  await codes.getByRole('button', { name: /^503/ }).click({ modifiers: ['Alt'] })
  await expect(traces(page)).toHaveCount(0)
  await page.getByRole('button', { name: 'Remove all filters' }).click()
  await expect(page).toHaveURL(/\/traces$/)

  // The upper part of the heatmap holds the two slow ones.
  await page.goto('/traces?service=explored')
  await expect(traces(page)).toHaveCount(4)
  const heat = page.getByRole('img', { name: /^Durations of 4 traces/ })
  const box = await heat.boundingBox()
  if (box === null) throw new Error('the heatmap has no place')
  await page.mouse.move(box.x + 2, box.y + 0.5)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width - 2, box.y + box.height / 4, { steps: 4 })
  await page.mouse.up()
  await expect(page).toHaveURL(/min=\d+us/)
  await expect(traces(page)).toHaveCount(2)
  await expect(page.getByRole('button', { name: 'Without time' })).toBeVisible()

  await page.goto('/traces?service=explored&group=operation')
  await expect(page.getByRole('table', { name: 'Groups of traces' }).locator('[data-row]')).toContainText(/explored Buy\s*4\s*50\.0/)
  const { violations } = await new AxeBuilder({ page }).include('main').analyze()
  expect(violations.map((v) => `${v.id} ${v.nodes[0]?.html}`)).toEqual([])

  await page.getByLabel('Trace ID').fill(`00-${id(2)}-00f067aa0ba902b7-01`)
  await page.getByLabel('Trace ID').press('Enter')
  await expect(page).toHaveURL(new RegExp(`/traces/${id(2)}$`))
  await expect(grid(page)).toContainText('failed here')
})

test('the heatmap is of all traces that match, not of those of a list', async ({ page }) => {
  const now = BigInt(Date.now() - 20_000) * 1_000_000n
  const spans = Array.from({ length: 1_200 }, (_, n) => ({
    traceId: `0af7651916cd43dd8448eb211c9${n.toString(16).padStart(5, '0')}`,
    spanId: (n + 1).toString(16).padStart(16, '0'),
    name: 'Count',
    kind: 2,
    startTimeUnixNano: String(now + BigInt(n) * 1_000_000n),
    endTimeUnixNano: String(now + BigInt(n) * 1_000_000n + BigInt(1 + (n % 7)) * 3_000_000n),
    status: n % 12 === 0 ? { code: 2 } : {},
    attributes: [{ key: 'app.half', value: { stringValue: n % 2 === 0 ? 'even' : 'odd' } }],
  }))
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'counted' } }] }
  const sent = await page.request.post(`${process.env.E2E_RECEIVER}/v1/traces`, {
    data: { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] },
  })
  expect(sent.ok()).toBe(true)
  const heat = (name: RegExp) => page.getByRole('img', { name })
  await expect(async () => {
    await page.goto('/traces?service=counted')
    await expect(heat(/^Durations of 1,200 traces over time, 100 of them with failed spans/)).toBeVisible({ timeout: 5_000 })
  }).toPass()
  await expect(page.getByText('Heatmap: all 1,200 traces that match')).toBeVisible()
  // A summary does not decide about attributes: spans are read.
  await page.goto('/traces?service=counted&attrs=app.half=even')
  await expect(heat(/^Durations of 600 traces over time, 100 of them/)).toBeVisible()
  await page.goto('/traces?service=counted&status=error')
  await expect(heat(/^Durations of 100 traces over time, 100 of them/)).toBeVisible()
})

test('a filter is typed with completion, pasted and edited by keyboard', async ({ page }) => {
  for (let n = 0; n < 4; n++) {
    await make(page, `0af7651916cd43dd8448eb211c80e1${n.toString(16).padStart(2, '0')}`, [
      { service: 'completing', name: 'Buy', id: spanID(0), at: 0, took: 10, attributes: { 'app.region': n === 0 ? 'eu-3' : 'us-1' } },
    ])
  }
  await page.goto('/traces?service=completing')
  await expect(traces(page)).toHaveCount(4)
  await page.keyboard.press('/')
  const filters = page.getByRole('combobox', { name: 'Filters' })
  await expect(filters).toBeFocused()
  await page.keyboard.type('app.reg')
  await expect(page.getByRole('option', { name: /^app\.region/ })).toBeVisible()
  await page.keyboard.press('Enter') // the key
  await expect(filters).toHaveValue('app.region ')
  await page.keyboard.press('Enter') // the first operator
  await expect(filters).toHaveValue('app.region = ')
  await expect(page.getByRole('option', { name: /^us-1\s*3/ })).toBeVisible()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter') // the value
  await expect(traces(page)).toHaveCount(1)

  // Backspace takes the last one into the box; Escape leaves it as it was.
  await page.keyboard.press('Backspace')
  await expect(filters).toHaveValue('app.region = eu-3')
  await filters.fill('app.region != eu-3')
  await page.keyboard.press('Enter')
  await expect(traces(page)).toHaveCount(3)
  await page.getByTitle('Edit app.region != eu-3').click()
  await page.keyboard.press('Escape')
  await page.keyboard.press('Escape')
  await expect(page.getByRole('button', { name: 'Without app.region != eu-3' })).toBeVisible()

  await page.getByRole('button', { name: 'Remove all filters' }).click()
  await filters.evaluate((box) => {
    const data = new DataTransfer()
    data.setData('text', 'service=completing\napp.region exists duration <= 1s')
    box.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))
  })
  await expect(traces(page)).toHaveCount(4)
  await expect(page.getByRole('button', { name: 'Without duration <= 1s' })).toBeVisible()
  await filters.fill('status = broken')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('alert')).toContainText('status is failed or ok, not "broken"')
  const { violations } = await new AxeBuilder({ page }).include('main').analyze()
  expect(violations.map((v) => `${v.id} ${v.nodes[0]?.html}`)).toEqual([])
})

test('a view is saved, opened from the list and the palette, and deleted', async ({ page }) => {
  await page.goto('/traces?service=payment&order=slowest')
  await page.getByRole('button', { name: 'Saved views' }).click()
  const form = page.getByRole('form', { name: 'Save this view' })
  await form.getByLabel('Save this view as').fill('Slow payments')
  await form.getByRole('button', { name: 'Save' }).click()
  await expect(form.getByText('Saved “Slow payments”.')).toBeVisible()
  const { violations } = await new AxeBuilder({ page }).include('[aria-label="Saved views"]').analyze()
  expect(violations.map((v) => `${v.id} ${v.nodes[0]?.html}`)).toEqual([])

  await page.goto('/traces?from=now-1h')
  await page.getByRole('button', { name: 'Saved views' }).click()
  await page.getByRole('link', { name: 'Slow payments' }).click()
  await expect(page).toHaveURL(/\?order=slowest&service=payment&from=now-1h/)
  await expect(page.getByRole('button', { name: 'Without service = payment' })).toBeVisible()

  await page.goto('/logs')
  await page.getByRole('button', { name: 'Saved views' }).click()
  await expect(page.getByText('This page has no saved view yet.')).toBeVisible()
  await page.keyboard.press('Escape')
  await page.keyboard.press('Control+k')
  await page.getByRole('combobox', { name: 'Go to' }).fill('slow pay')
  await expect(page.getByRole('option', { name: /^Slow payments/ })).toBeVisible()
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/\/traces\?order=slowest&service=payment/)

  await page.getByRole('button', { name: 'Saved views' }).click()
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('button', { name: 'Really delete?' }).click()
  await expect(page.getByText('This page has no saved view yet.')).toBeVisible()
})

test('what failed spans have in common becomes a filter, and spans are grouped by any attribute', async ({ page }) => {
  for (let n = 0; n < 24; n++) {
    const failed = n % 2 === 0
    await make(page, `0af7651916cd43dd8448eb211c80d1${n.toString(16).padStart(2, '0')}`, [
      {
        service: 'differing',
        name: 'Buy',
        id: spanID(0),
        at: 0,
        took: failed ? 400 : 40,
        kind: 2,
        error: failed,
        attributes: { 'app.region': failed ? 'eu-3' : 'us-1', 'session.id': `s-${n}` },
      },
    ])
  }
  await page.goto('/traces?service=differing')
  await expect(traces(page)).toHaveCount(24)
  await choose(page, 'Compare spans', 'failed with the others')
  await expect(page).toHaveURL(/compare=failed/)
  const rows = page.getByRole('table', { name: 'What differs' }).locator('[data-row]')
  await expect(rows).toHaveCount(1) // not the session, which each span has its own of
  await expect(rows).toContainText('app.region')
  await expect(page.getByRole('region', { name: 'What differs' })).toContainText('12 failed spans against 12 others')
  const { violations } = await new AxeBuilder({ page }).include('main').analyze()
  expect(violations.map((v) => `${v.id} ${v.nodes[0]?.html}`)).toEqual([])
  await rows.getByRole('button', { name: 'eu-3' }).click()
  await expect(page).toHaveURL(/attrs=app\.region/)
  await expect(traces(page)).toHaveCount(12)

  // A span's panel says how often failed and ok spans of its operation have each value.
  await page.goto('/traces/0af7651916cd43dd8448eb211c80d100')
  await grid(page).getByText('Buy').click()
  await expect(panel(page).getByText('Shares among 12 failed and 12 ok spans')).toBeVisible()
  const region = panel(page).locator('.tv-pairs > div', { hasText: 'app.region' })
  await expect(region).toContainText('failed 100 %, ok 0 %')
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog', { name: 'Keyboard' })).toContainText('next span')
  await page.keyboard.press('Escape')

  await page.goto('/traces?service=differing&group=app.region')
  const groups = page.getByRole('table', { name: 'Spans by app.region' }).locator('[data-row]')
  await expect(groups).toHaveCount(2)
  await expect(groups.filter({ hasText: 'eu-3' })).toContainText('100')
})
