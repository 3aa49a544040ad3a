import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Demo, demo } from './setup'
import { test as base, expect } from './test'

/** What a notification has of its alerts: names, and the links that a user clicks. */
interface Notice {
  receiver: string
  alertname: string
  generatorURL: string
}

interface World extends Demo {
  /** As a webhook gets them. */
  notices: Notice[]
  /** Links of Alertmanager's default template, by text of the message. */
  titles: { fallback: string; link: string }[]
}

const rules = `groups:
- name: links
  interval: 1s
  rules:
  - alert: CartIsUsed
    expr: |
      sum by (service_name) (rate(traces_span_metrics_calls_total{service_name=~"cart|c(a)+rt#1 & 100%"}[1m]))
        > 0 # so that it fires
    labels: {team: day}
    annotations: {summary: the cart is used}
  - alert: CheckoutIsUsed
    expr: sum by (service_name) (rate(traces_span_metrics_calls_total{service_name="checkout"}[1m])) + 0.5 > 0.5
    labels: {team: night}
    annotations: {summary: the checkout is used}
  - alert: NeverFires
    expr: vector(0) > 1
`

const day = 'day'
const night = 'night.shift/ops & co+100%'

const routes = (at: string) => `route:
  receiver: ${day}
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  routes: [{matchers: ['team="night"'], receiver: '${night}'}, {matchers: ['team="day"'], receiver: ${day}}]
receivers:
- name: ${day}
  webhook_configs: [{url: '${at}/webhook'}]
  slack_configs: [{api_url: '${at}/slack', channel: '#day'}]
- name: '${night}'
  webhook_configs: [{url: '${at}/webhook'}]
  slack_configs: [{api_url: '${at}/slack', channel: '#night'}]
`

/** A demo whose alerts are sent to this process. */
async function world(): Promise<World> {
  const notices: Notice[] = []
  const titles: World['titles'] = []
  const inbox = createServer((req, res) => {
    let body = ''
    req.on('data', (d: Buffer) => {
      body += d.toString()
    })
    req.on('end', () => {
      if (req.url === '/webhook') {
        const m = JSON.parse(body) as { receiver: string; alerts: { labels: Record<string, string>; generatorURL: string }[] }
        for (const a of m.alerts) notices.push({ receiver: m.receiver, alertname: a.labels.alertname ?? '', generatorURL: a.generatorURL })
      } else {
        const m = JSON.parse(body) as { attachments: { fallback: string; title_link: string }[] }
        for (const a of m.attachments) titles.push({ fallback: a.fallback, link: a.title_link })
      }
      res.end('ok')
    })
  })
  await new Promise<void>((r) => inbox.listen(0, '127.0.0.1', r))
  const dir = mkdtempSync(join(tmpdir(), 'watchingcat-links-'))
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  }
  const server = await demo((url) => ({
    WATCHINGCAT_EXTERNAL_URL: `${url}/`, // a link has one slash more or less than people set
    WATCHINGCAT_RULE_FILES: file('rules.yml', rules),
    WATCHINGCAT_ALERTMANAGER_CONFIG: file('alertmanager.yml', routes(`http://127.0.0.1:${(inbox.address() as AddressInfo).port}`)),
  }))
  const end = async () => {
    await server.end()
    inbox.closeAllConnections()
    inbox.close()
    rmSync(dir, { recursive: true, force: true })
  }
  return { ...server, end, notices, titles }
}

const test = base.extend<object, { server: World }>({
  server: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of fixtures from the pattern
    async ({}, use) => {
      const server = await world()
      await use(server)
      await server.end()
    },
    { scope: 'worker', timeout: 180_000 },
  ],
  baseURL: async ({ server }, use) => use(server.url),
})

for (const [alertname, receiver] of [
  ['CartIsUsed', day],
  ['CheckoutIsUsed', night],
] as const) {
  test(`the links of a notification to ${receiver} lead to its incident and to the alerts of the receiver`, async ({ page, server }) => {
    await expect.poll(() => server.notices.some((n) => n.alertname === alertname), { timeout: 120_000 }).toBe(true)
    const notice = server.notices.find((n) => n.alertname === alertname)
    expect(notice?.receiver.replaceAll('\\', '')).toBe(receiver) // Alertmanager writes it as a regular expression
    await page.goto(notice?.generatorURL ?? '')
    await expect(page).toHaveURL(/\/incidents\/[0-9a-f]+-[0-9a-f]+$/)
    await expect(page.getByRole('region', { name: 'Alerts' })).toContainText(alertname)

    await expect.poll(() => server.titles.some((s) => s.fallback.includes(alertname)), { timeout: 120_000 }).toBe(true)
    const link = server.titles.find((s) => s.fallback.includes(alertname))?.link ?? ''
    expect(link.startsWith(`${server.url}/#/alerts?receiver=`)).toBe(true)
    await page.goto('about:blank')
    await page.goto(link)
    // one incident is shown itself, several as a list
    await expect(page).toHaveURL(/\/incidents[/?]/)
    await expect(page.locator('main')).toContainText(alertname)

    // the same link where the page is open already
    await page.goto('/')
    await page.goto(link)
    await expect(page).toHaveURL(/\/incidents[/?]/)
    await expect(page.locator('main')).toContainText(alertname)

    await page.goto(`/alerts?receiver=${encodeURIComponent(receiver)}`)
    await expect(page.getByText(`Alerts for the receiver ${receiver}`)).toBeVisible()
    await expect(page.locator('.alert')).toHaveCount(1)
    const sent = page.getByRole('table', { name: 'Notifications', exact: true }).locator('[data-row]')
    await expect(sent.first()).toContainText(receiver)
  })
}

test('the links of rules lead to the rule where no alert is active', async ({ page }) => {
  const { rules: known } = (await (await page.request.get('/api/v1/alerts')).json()) as {
    rules: { id: string; name: string; generator_url: string }[]
  }
  const rule = known.find((r) => r.name === 'NeverFires')
  await page.goto(rule?.generator_url ?? '')
  await expect(page).toHaveURL(`/alerts/rules/${rule?.id}`)
  await expect(page.getByRole('heading', { level: 1, name: 'NeverFires' })).toBeVisible()
})
