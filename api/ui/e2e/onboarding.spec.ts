import AxeBuilder from '@axe-core/playwright'
import { type Demo, demo } from './setup'
import { sendTrace, spanID } from './spans'
import { expect, test } from './test'

let empty: Demo

test.beforeAll(async () => {
  empty = await demo({}, {}, ['--empty'])
})
test.afterAll(() => empty.end())

test('an installation without data shows how to connect a Collector, and that data arrives', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.goto(empty.url)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Connect a Collector')
  const step = (title: string) => page.getByRole('list', { name: 'Steps' }).getByRole('listitem').filter({ hasText: title })
  await expect(step('Broker reachable')).toContainText('done')
  await expect(step('Topics exist')).toContainText('done')
  await expect(step('First spans')).toContainText('waiting')
  await expect(step('First log records')).toContainText('exporter kafka')

  const { brokers } = await (await page.request.get(`${empty.url}/api/v1/onboarding`)).json()
  await page.getByRole('button', { name: 'Copy' }).click()
  await expect(page.getByRole('button', { name: 'Copied' })).toBeVisible()
  const copied = await page.evaluate(() => navigator.clipboard.readText())
  expect(copied).toContain(`brokers: ["${brokers[0]}"]`)
  expect(copied).toContain('traces: {topic: otlp_spans, encoding: otlp_proto}')

  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    const { violations } = await new AxeBuilder({ page }).include('main').analyze()
    expect(violations.map((v) => `${v.id} ${v.nodes[0]?.html}`)).toEqual([])
  }
  await page.setViewportSize({ width: 390, height: 844 })
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)

  await sendTrace(empty.receiver, '0af7651916cd43dd8448eb211c80aa01', [
    { service: 'first', name: 'Hello', id: spanID(0), at: 0, took: 5, kind: 2 },
  ])
  await expect(step('First spans')).toContainText('1 received')
  await page.getByRole('button', { name: 'Open the overview' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Overview')
  await expect(page.getByText('first', { exact: true }).first()).toBeVisible()
})
