import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { choose, expect, head, select, test } from './test'

const rows = (page: Page, name: string) => page.getByRole('table', { name, exact: true }).locator('[data-row]')

async function accessible(page: Page) {
  const { violations } = await new AxeBuilder({ page }).analyze()
  const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
  expect(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join('\n')}`)).toEqual([])
}

const at = (secondsAgo: number) => new Date(Date.now() - secondsAgo * 1000).toISOString()

const meta = { source: 'view', since: at(3600), up_to: at(0), lag_ms: 0, partial: false, warnings: [], view_version: 0 }

const trace = {
  trace_id: '0123456789abcdef0123456789abcdef',
  span_id: '0123456789abcdef',
  service: 'checkout',
  operation: 'PlaceOrder',
  status: 'STATUS_CODE_ERROR',
  duration_ms: 137,
  time: at(70),
}

const edge = (client: string, server: string, over: object) => ({
  client,
  server,
  connection_type: '',
  hops: 1,
  calls: 121,
  failed: 0,
  error_rate: 0,
  baseline_error_rate: 0,
  mean_ms: 9,
  baseline_mean_ms: 9,
  excess_failed: 0,
  own_excess_failed: 0,
  excess_seconds: 0,
  own_excess_seconds: 0,
  score: 0.02,
  changed: [],
  new_versions: [],
  ...over,
})

const alert = {
  fingerprint: 'f1',
  rule_id: 'r1',
  labels: { alertname: 'ErrorsInService', service_name: 'checkout', severity: 'page' },
  annotations: { summary: 'checkout failed 49 times within a minute' },
  state: 'firing',
  active_at: at(60),
  fired_at: at(60),
  value: 49,
  generator_url: '',
  incident: null,
  deliveries: [
    { receiver: 'inbox', integration: 'webhook', state: 'sent', time: at(55), by: [] },
    { receiver: 'night', integration: '', state: 'silenced', time: null, by: ['s-42'] },
  ],
  evidence: {
    expr: 'sum by (service_name) (increase(x[1m])) > 15',
    for: '1m0s',
    frontier: 'head',
    traces: [],
    why: {
      baseline: at(3720),
      from: at(120),
      at: at(60),
      service: 'checkout',
      operands: [{ expr: 'sum by (service_name) (increase(x[1m]))', values: [{ labels: { service_name: 'checkout' }, value: 16.25 }] }],
      operations: [
        {
          name: 'PlaceOrder',
          kind: 'SPAN_KIND_SERVER',
          calls: 122,
          errors: 16,
          error_rate: 0.131,
          baseline_error_rate: 0.002,
          p95_ms: 140,
          baseline_p95_ms: 95,
        },
      ],
      traces: [trace],
      patterns: [{ pattern: 'bank says <*>', services: ['payment'], count: 14, first_seen: at(70), sample: 'bank says no' }],
      errors: [{ service: 'payment', operation: 'Charge', type: 'shop.Error', message: 'card refused', count: 15, first_seen: at(71) }],
      deployments: [{ service: 'payment', version: '1.5.0', first_seen: at(90) }],
      path: [
        edge('checkout', 'payment', {
          failed: 15,
          error_rate: 0.124,
          baseline_error_rate: 0.001,
          mean_ms: 61,
          baseline_mean_ms: 30,
          own_excess_failed: 15,
          own_excess_seconds: 3,
          score: 0.94,
          changed: ['errors', 'latency'],
          new_versions: ['1.5.0'],
        }),
        edge('payment', 'api.bank.example', { connection_type: 'virtual_node', hops: 2, score: 0.1, changed: ['added'] }),
        edge('', 'checkout', { hops: 0 }),
      ],
      missing: ['traces of fraud: timeout'],
    },
  },
}

test('a firing alert tells why, and what became of it', async ({ page, quiet }) => {
  await page.routeWebSocket('**/ws', (ws) => ws.close())
  await page.route('**/api/v1/alerts/active*', (route) => route.fulfill({ json: { alerts: [alert], meta } }))
  await page.goto('/alerts')
  const one = page.locator('.alert')
  await expect(one).toContainText(
    'begins at checkout → payment: 12.4 % fail, 0.10 % before; 61.0 ms on average, 30.0 ms before; new version 1.5.0',
  )
  const deliveries = page.getByRole('list', { name: 'Notifications of this alert' })
  await expect(deliveries).toContainText('sent inbox webhook')
  await expect(deliveries).toContainText('silenced night by silence s-42')
  await head(one).filter({ hasText: 'Why' }).click()
  await expect(one.locator('.operands')).toContainText('16.3')
  const path = rows(page, 'Where ErrorsInService checkout begins')
  await expect(path).toHaveCount(3)
  await expect(path.first()).toContainText(/checkout.*payment.*94\.0.*12\.4.*0\.10.*61\.0.*30\.0.*121.*1\.5\.0.*1/s)
  await expect(path.nth(1)).toContainText('api.bank.example not instrumented')
  await expect(path.nth(2)).toContainText('all calls to checkout')
  await expect(rows(page, 'Worst operations of ErrorsInService checkout')).toContainText(['PlaceOrder server'])
  await expect(one).toContainText('payment 1.5.0')
  await expect(one).toContainText('14× bank says <*>')
  await expect(one).toContainText('card refused')
  await expect(one).toContainText('not looked at: traces of fraud: timeout')
  await expect(one.getByRole('link', { name: 'shop.Error' })).toHaveAttribute('href', '/errors?service=payment&type=shop.Error')
  await expect(one.getByRole('link', { name: trace.trace_id.slice(0, 16) })).toHaveAttribute(
    'href',
    `/traces/${trace.trace_id}?span=${trace.span_id}`,
  )
  await accessible(page)
  await page.setViewportSize({ width: 390, height: 844 })
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
  quiet.splice(0, quiet.length, ...quiet.filter((e) => !e.includes('WebSocket')))
})

test('the alert of the demo leads to a trace', async ({ page }) => {
  test.setTimeout(300_000)
  await page.goto('/alerts')
  const firing = page.locator('.alert.strip-firing').first()
  await expect(firing).toBeVisible({ timeout: 240_000 })
  await head(firing).filter({ hasText: 'Why' }).click()
  await expect(firing.locator('.operands')).toContainText('service_name=')
  await firing.locator('.traces a').first().click()
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}\?span=/)
  await expect.poll(() => page.getByRole('treegrid', { name: 'Spans' }).locator('[data-row]').count()).toBeGreaterThan(1)
  await page.goto('/alerts')
  await expect(rows(page, 'Notifications').first()).toContainText('inbox')
  await expect(rows(page, 'Changes').first()).toContainText('ErrorsInService')
})

test('a receiver is tested', async ({ page }) => {
  await page.goto('/alerts')
  await page.getByRole('button', { name: 'Send test to inbox' }).click()
  await expect(page.getByRole('status', { name: 'Result of the test' })).toContainText(/accepted\s*webhook/)
  await page.getByRole('table', { name: 'Receivers' }).getByRole('button', { name: 'inbox', exact: true }).click()
  await expect(page).toHaveURL(/receiver=inbox/)
  await page.getByRole('button', { name: 'Without receiver' }).click()
  await expect(page).not.toHaveURL(/receiver=/)
})

test('notifications tell what failed', async ({ page }) => {
  const sent = (over: object) => ({
    time: at(30),
    duration_ms: 12,
    receiver: 'inbox',
    integration: 'webhook',
    group_key: '{}:{alertname="A"}',
    reason: 'first notification',
    attempt: 1,
    firing: [{ alertname: 'A', service_name: 'cart' }],
    resolved: [],
    error: null,
    retry: false,
    ...over,
  })
  await page.route('**/api/v1/alerts/notifications*', (route) =>
    route.fulfill({
      json: {
        notifications: [sent({}), sent({ attempt: 2, error: 'status 503', retry: true }), sent({ attempt: 3, error: 'status 400' })],
        total: 3,
        meta,
      },
    }),
  )
  await page.goto('/alerts')
  const list = rows(page, 'Notifications')
  await expect(list).toHaveCount(3)
  await expect(list.nth(0)).toContainText('accepted')
  await expect(list.nth(1)).toContainText('failed, tried again status 503')
  await expect(list.nth(2)).toContainText(/failed\s*status 400/)
  await head(list.nth(0)).click()
  await expect(list.nth(0)).toContainText('service_name=cart')
})

test('a rule is made, changed, switched and deleted', async ({ page, quiet }) => {
  await page.goto('/alerts')
  await page.getByRole('link', { name: 'New rule' }).click()
  await expect(page).toHaveURL(/\/alerts\/new(\?from=[^&]+)?$/)
  await page.getByLabel('Name', { exact: true }).fill('MadeHere')
  await page.getByRole('textbox', { name: 'Condition' }).fill('sum((')
  await page.getByRole('button', { name: 'Create rule' }).click()
  await expect(page.locator('.field', { hasText: 'Condition' }).getByRole('alert')).toContainText('unclosed left parenthesis')
  await expect(page.getByRole('textbox', { name: 'Condition' })).toHaveAttribute('aria-invalid', 'true')
  await page.getByRole('textbox', { name: 'Condition' }).fill('sum by (service_name) (rate(traces_span_metrics_calls_total[1m])) > 1e9')
  await page.getByLabel('For', { exact: true }).fill('5x')
  await expect(page.locator('.field', { hasText: 'the condition must hold' }).getByRole('alert')).toContainText('"5x" is no duration')
  await page.getByLabel('For', { exact: true }).fill('5m')
  await page.getByLabel('Value of summary').fill('{{ $x ')
  await page.getByRole('button', { name: 'Create rule' }).click()
  await expect(page.getByRole('group', { name: 'Annotations' }).getByRole('alert')).toContainText('summary')
  await page.getByLabel('Value of summary').fill('{{ $labels.service_name }} is busy')
  await page.getByRole('button', { name: 'Add label' }).click()
  await page.getByLabel('Name of label 2').fill('team')
  await page.getByLabel('Value of team').fill('shop')
  await accessible(page)
  await page.getByRole('button', { name: 'Create rule' }).click()
  await expect(page).toHaveURL(/\/alerts(\?from=[^&]+)?$/)
  const row = rows(page, 'Rules').filter({ hasText: 'MadeHere' })
  await expect(row).toContainText('page')

  await row.getByRole('link', { name: 'Edit MadeHere' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'MadeHere' })).toBeVisible()
  await expect(page.getByLabel('Value of team')).toHaveValue('shop')
  await expect(page.getByRole('button', { name: 'Save' })).toBeDisabled()
  await page.getByLabel('For', { exact: true }).fill('10m')
  await page.getByRole('button', { name: 'Save' }).click()
  const review = page.getByRole('dialog', { name: 'Save these changes?' })
  await expect(review.getByRole('definition')).toHaveText(/before: 5m\s*after: 10m/)
  await accessible(page)
  await review.getByRole('button', { name: 'Save changes' }).click()
  await expect(page).toHaveURL(/\/alerts(\?from=[^&]+)?$/)
  await expect(row).toContainText('10m')

  await row.getByRole('button', { name: 'Switch MadeHere off' }).click()
  await expect(row).toContainText('off')
  await row.getByRole('button', { name: 'Switch MadeHere on' }).click()
  await expect(row.getByRole('button', { name: 'Switch MadeHere off' })).toBeVisible()
  await row.getByRole('button', { name: 'Delete', exact: true }).click()
  await row.getByRole('button', { name: 'Really delete' }).click()
  await expect(row).toHaveCount(0)
  quiet.splice(0, quiet.length, ...quiet.filter((e) => !e.includes('400')))
})

test('a rule of a file is switched, not changed', async ({ page }) => {
  await page.goto('/alerts')
  const row = rows(page, 'Rules').filter({ hasText: 'ServiceIsSlow' })
  await row.getByRole('button', { name: 'Switch ServiceIsSlow off' }).click()
  await expect(row).toContainText('off')
  await row.getByRole('link', { name: 'Open ServiceIsSlow' }).click()
  await expect(page.getByText('change it there')).toBeVisible()
  await expect(page.getByRole('textbox', { name: 'Condition' })).toHaveAttribute('aria-readonly', 'true')
  await expect(page.getByRole('button', { name: 'Save' })).toHaveCount(0)
  const stored = page.waitForResponse((r) => r.request().method() === 'PUT')
  await page.getByLabel('Enabled').check()
  expect((await stored).ok()).toBe(true)
  await page.getByRole('link', { name: 'Copy it into a new rule' }).click()
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('ServiceIsSlowCopy')
  await page.goto('/alerts')
  await expect(row.getByRole('button', { name: 'Switch ServiceIsSlow off' })).toBeVisible()
})

test('from a chart to a rule and what it would have done', async ({ page }) => {
  await page.goto('/services/checkout?range=5m')
  await page.getByRole('link', { name: 'Create alert from this chart: duration' }).click()
  await expect(page).toHaveURL(/\/alerts\/new\?chart=duration&service=checkout&threshold=[\d.]+&from=now-5m$/)
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('CheckoutSlow')
  const condition = page.getByRole('textbox', { name: 'Condition' })
  await expect(condition).toHaveText(/^histogram_quantile.*service_name="checkout".* > [\d.]+$/)
  await expect(page.locator('.bt-words')).toContainText(/Over the last 5m it (was firing|would (not )?have fired)/)
  await condition.fill((await condition.innerText()).replace(/> [\d.]+$/, '> 1'))
  await page.getByLabel('For', { exact: true }).fill('')
  await expect(page.locator('.bt-words')).toContainText(/would have fired|was firing/)
  await page.getByText('1h', { exact: true }).last().click()
  await expect(page.locator('.bt-words')).toContainText('Over the last 1h')
  const strips = page.getByRole('list', { name: 'Alerts in the backtest' })
  await expect(strips.getByRole('img', { name: /firing \d{4}-\d\d-\d\d/ }).first()).toBeVisible()
  await expect(strips).toContainText('service_name=checkout')
  const variants = rows(page, 'Variants')
  await expect(variants.first()).toContainText('current edit')
  await accessible(page)

  await variants.filter({ hasText: 'threshold 2' }).getByRole('button', { name: 'Use' }).click()
  await expect(condition).toHaveText(/> 2$/)
  await variants.filter({ hasText: 'for 15m' }).getByRole('button', { name: 'Use' }).click()
  await expect(page.getByLabel('For', { exact: true })).toHaveValue('15m')
  const threshold = page.getByRole('slider', { name: /^Threshold/ })
  await threshold.focus()
  await page.keyboard.press('ArrowRight')
  await expect(condition).not.toHaveText(/> 2$/)
  await page.keyboard.press('Home')
  await expect(condition).toHaveText(/> 0$/)
  await page.setViewportSize({ width: 390, height: 844 })
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
})

test('an objective is made, stands and is deleted, and the audit tells so', async ({ page, quiet }) => {
  test.setTimeout(180_000)
  await page.goto('/slos')
  await page.getByRole('button', { name: 'New objective' }).click()
  await page.getByLabel('Name', { exact: true }).fill('cart answers')
  await select(page, 'Good, %').fill('101')
  await select(page, 'Window').fill('3d')
  await select(page, 'Service').fill('cart')
  await choose(page, 'Good is', 'what takes no longer than 100 ms')
  await page.getByRole('button', { name: 'Create objective' }).click()
  await expect(page.locator('.field', { hasText: 'Good, %' }).getByRole('alert')).toContainText('101 is no share')
  await select(page, 'Good, %').fill('90')
  await accessible(page)
  await page.getByRole('button', { name: 'Create objective' }).click()
  const row = rows(page, 'Objectives').filter({ hasText: 'cart answers' })
  await expect(row).toContainText('90 % of requests to cart take no longer than 100 ms, over 3d')
  await expect(row).toContainText(/ok|burns too fast|budget used up/, { timeout: 120_000 })
  await accessible(page)
  await page.setViewportSize({ width: 390, height: 844 })
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
  await page.setViewportSize({ width: 1440, height: 900 })
  await row.getByRole('link', { name: 'cart answers' }).click()
  await expect(page).toHaveURL(/\/slos\/cart-answers/)
  await expect(page.locator('.facts')).toContainText(/Burn rate, 5m/)
  await expect(page.getByText(/There is data for .* of the 3d/)).toBeVisible()
  await expect(page.getByRole('img', { name: /^Budget left, %/ })).toBeVisible()
  await page.getByText('Whole window', { exact: true }).click()
  await expect(rows(page, 'Changes').first()).toContainText('create')
  await accessible(page)
  await page.getByRole('button', { name: 'Edit' }).click()
  await select(page, 'Good, %').fill('95')
  await page.getByRole('button', { name: 'Save changes' }).click()
  await expect(page.getByText('95 % of requests to cart')).toBeVisible()
  await expect(rows(page, 'Changes').first()).toContainText('update')
  await page.getByRole('main').getByRole('link', { name: 'SLOs' }).click()
  await row.getByRole('button', { name: 'Delete', exact: true }).click()
  await row.getByRole('button', { name: 'Really delete' }).click()
  await expect(row).toHaveCount(0)
  await page.goto('/pipeline')
  await choose(page.getByRole('region', { name: 'Audit' }), 'Of', 'objectives')
  await expect(page).toHaveURL(/audit=slo/)
  const audit = rows(page, 'Audit')
  await expect(audit.nth(0)).toContainText(/delete\s*slo/)
  await expect(audit.nth(1)).toContainText(/update\s*slo/)
  await expect(audit.nth(2)).toContainText(/create\s*slo/)
  await head(audit.nth(2)).click()
  await expect(audit.nth(2)).toContainText('"objective": 90')
  quiet.splice(0, quiet.length, ...quiet.filter((e) => !e.includes('400')))
})

test('a rule is tried over the records themselves, with progress', async ({ page }) => {
  await page.goto('/alerts')
  await page.getByRole('link', { name: 'New rule' }).click()
  await page.getByRole('textbox', { name: 'Condition' }).fill('sum by (service_name) (increase(traces_span_metrics_calls_total[1m])) > 1')
  await expect(page.getByText('Over the buckets of the views.')).toBeVisible()
  await page.getByRole('button', { name: 'Evaluate over the records in Kafka' }).click()
  await expect(page.getByText('Over the records themselves')).toBeVisible({ timeout: 180_000 })
  await expect(page.getByRole('list', { name: 'Alerts in the backtest' }).getByRole('listitem').first()).toBeVisible()
  await accessible(page)
  await page.getByRole('button', { name: 'Back to the views' }).click()
  await expect(page.getByText('Over the buckets of the views.')).toBeVisible()
})

test('an alert is silenced from the page, and the silence ended', async ({ page, quiet }) => {
  await page.routeWebSocket('**/ws', (ws) => ws.close())
  const other = { ...alert, fingerprint: 'f2', labels: { ...alert.labels, service_name: 'cart' } }
  await page.route('**/api/v1/alerts/active*', (route) => route.fulfill({ json: { alerts: [alert, other], meta } }))
  await page.goto('/alerts')
  const one = page.locator('.alert', { hasText: 'checkout' }).first()
  await head(one).filter({ hasText: 'Silence' }).click()
  await expect(one.getByRole('button', { name: 'Silence 1 active alert' })).toBeVisible()
  await one.getByRole('checkbox', { name: 'service_name=checkout' }).uncheck()
  await expect(one.getByRole('button', { name: 'Silence 2 active alerts' })).toBeVisible()
  await choose(one, 'For', '4 h')
  await one.getByRole('textbox', { name: 'Why' }).fill('the bank is down')
  await accessible(page)
  await one.getByRole('button', { name: 'Silence 2 active alerts' }).click()
  await expect(one.getByRole('status').filter({ hasText: 'Silenced until' })).toBeVisible()
  const silence = rows(page, 'Silences').filter({ hasText: 'the bank is down' })
  await expect(silence).toContainText('alertname="ErrorsInService", severity="page"')
  await expect(silence).toContainText(/4 h|3 h/)
  await silence.getByRole('button', { name: 'End' }).click()
  await silence.getByRole('button', { name: 'Really end' }).click()
  await expect(silence).toHaveCount(0)
  quiet.splice(0, quiet.length, ...quiet.filter((e) => !e.includes('WebSocket')))
})

test('Alertmanagers external Alertmanagers: whether they accept, the last error, the counts', async ({ page }) => {
  const answer = { receivers: [], alertmanagers: [] as object[] }
  await page.route('**/api/v1/receivers', (route) => route.fulfill({ json: answer }))
  await page.goto('/alerts')
  await expect(page.getByText('No receivers are configured.')).toBeVisible()
  await expect(page.getByRole('region', { name: 'Alertmanagers' })).toHaveCount(0)

  const url = (host: string) => `https://${host}.monitoring.example:9093/api/v2/alerts`
  answer.alertmanagers = [
    { url: url('am-a'), state: 'accepting', last_success: at(20), sent: 14_812, dropped: 0, pending: 0 },
    {
      url: url('am-b'),
      state: 'failing',
      last_success: at(600),
      last_failure: at(12),
      error: '503 Service Unavailable not now',
      sent: 13_020,
      dropped: 1_792,
      pending: 256,
    },
    {
      url: url('am-c'),
      state: 'accepting',
      last_success: at(20),
      last_failure: at(3600),
      error: 'connection refused',
      sent: 9,
      dropped: 3,
      pending: 0,
    },
    { url: url('am-d'), state: 'unknown', sent: 0, dropped: 0, pending: 0 },
  ]
  await page.reload()
  const list = rows(page, 'Alertmanagers')
  await expect(list).toHaveText(
    [
      /^https:..am-a.monitoring.example:9093\s+accepting \d+ s ago\s+14.8K\s+0\s+0$/,
      /am-b.*\s+failing\s+Last error .* ago: 503 Service Unavailable not now\s+13K\s+1.79K\s+256$/,
      /am-c.*\s+accepting .* ago\s+Earlier error .* ago: connection refused\s+9\s+3\s+0$/,
      /am-d.*\s+nothing sent yet\s+0\s+0\s+0$/,
    ],
    { useInnerText: true },
  )
  await accessible(page)
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    for (const width of [1440, 420]) {
      await page.setViewportSize({ width, height: 900 })
      expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
      const hidden = await list.first().evaluate((row) => {
        const box = row.closest('.scroll')
        return box === null ? Number.NaN : box.scrollWidth - box.clientWidth
      })
      expect(hidden).toBeLessThanOrEqual(0)
      if (width < 1000) await expect(list.nth(1)).toContainText('13K sent, 1.79K dropped, 256 pending')
    }
  }
})

test('the links of a notification lead to its alert', async ({ page }) => {
  await page.routeWebSocket('**/ws', (ws) => ws.close())
  const { rules } = (await (await page.request.get('/api/v1/alerts')).json()) as {
    rules: { id: string; name: string; generator_url: string }[]
  }
  const rule = rules.find((r) => r.name === 'ServiceIsSlow')
  if (rule === undefined) throw new Error('the demo has no rule ServiceIsSlow')
  const link = new URL(rule.generator_url)
  const slow = {
    ...alert,
    fingerprint: 'f2',
    rule_id: rule.id,
    labels: { alertname: 'ServiceIsSlow', service_name: 'cart' },
    deliveries: [],
  }
  let alerts = [alert, slow]
  await page.route('**/api/v1/alerts/active*', (route) => route.fulfill({ json: { alerts, meta } }))

  await page.goto(link.pathname + link.search)
  await expect(page).toHaveURL(/\/alerts\?rule=/)
  await expect(page.locator('.alert')).toHaveCount(1)
  await expect(page.locator('.alert')).toContainText('ServiceIsSlow')
  await expect(rows(page, 'Rules')).toHaveCount(1)
  await accessible(page)
  await page.getByRole('button', { name: 'Show all' }).click()
  await expect(page.locator('.alert')).toHaveCount(2)

  await page.goto('/#/alerts?receiver=night')
  await expect(page).toHaveURL(/\/incidents\?receiver=night$/) // none of them is in an incident
  await expect(page.locator('main')).toContainText('Active alerts for the receiver')
  await page.goto('/alerts?receiver=night')
  await expect(page.locator('.alert')).toHaveCount(1)
  await expect(page.locator('.alert')).toContainText('ErrorsInService')
  await expect(page.getByText('Alerts for the receiver night')).toBeVisible()

  alerts = [alert]
  await page.goto(link.pathname + link.search)
  await expect(page).toHaveURL((url) => url.pathname === `/alerts/rules/${rule.id}`)
  await page.goto('/graph?g0.expr=nothing_like_it&g0.tab=1')
  await expect(page).toHaveURL('/query?g0.expr=nothing_like_it&g0.tab=table')
  await expect(page.getByRole('link', { name: 'Create alert' })).toHaveAttribute('href', '/alerts/new?expr=nothing_like_it')
})
