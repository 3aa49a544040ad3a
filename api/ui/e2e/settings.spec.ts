import AxeBuilder from '@axe-core/playwright'
import { expect, test } from './test'

test('settings show what is in force and test a backend', async ({ page }) => {
  await page.goto('/')
  await page.getByRole('navigation').getByRole('link', { name: 'Settings' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Settings')
  const backends = page.getByRole('list', { name: 'Backends' })
  await expect(backends.getByRole('listitem').filter({ hasText: 'Prometheus' })).toContainText(
    'WATCHINGCAT_PROMETHEUS_URL sets its address',
  )
  // The demo's Jaeger is an address that does not exist.
  await backends.getByRole('button', { name: 'Test Jaeger' }).click()
  await expect(backends.getByText(/^No answer: /)).toBeVisible()
  await expect(page.getByRole('table', { name: 'Retention' })).toContainText('WATCHINGCAT_RETENTION_10S')
  await expect(page.getByRole('table', { name: 'Limits' })).toContainText('WATCHINGCAT_LIMIT_SERVICES')
  await expect(page.getByRole('region', { name: 'About' })).toContainText('Apache-2.0')
  const licences = await page.getByRole('link', { name: 'licences of the libraries' }).getAttribute('href')
  expect(await (await page.request.get(licences ?? '')).text()).toContain('github.com/twmb/franz-go')
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    const { violations } = await new AxeBuilder({ page }).include('main').analyze()
    expect(violations.map((v) => `${v.id} ${v.nodes[0]?.html}`)).toEqual([])
  }
})
