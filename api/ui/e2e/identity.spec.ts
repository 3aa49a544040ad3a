import { createHmac } from 'node:crypto'
import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { type Demo, demo } from './setup'
import { test as base, choose, expect, select } from './test'

const secret = 'the secret of these tests, 32 bytes'

/** A token that its holder could have from an identity provider that shares the secret: the first admin of a server without users. */
function token(role: string): string {
  const part = (v: object) => Buffer.from(JSON.stringify(v)).toString('base64url')
  const claims = { iss: 'watchingcat', aud: 'watchingcat', sub: 'tests', role, exp: Math.floor(Date.now() / 1000) + 3600 }
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

const admin = { Authorization: `Bearer ${token('admin')}` }
const password = 'correct horse'

/** A server that asks who one is, with a user of each role. */
interface Guarded extends Demo {
  api: (method: string, path: string, body?: unknown) => Promise<number>
}

async function guarded(): Promise<Guarded> {
  const server = await demo({ WATCHINGCAT_AUTH_ENABLED: 'true', WATCHINGCAT_AUTH_JWT_SECRET: secret }, admin)
  const api: Guarded['api'] = async (method, path, body) => {
    const init = { method, headers: { ...admin, 'Content-Type': 'application/json' } }
    return (await fetch(server.url + path, body === undefined ? init : { ...init, body: JSON.stringify(body) })).status
  }
  for (const [name, role] of Object.entries({ ann: 'admin', ed: 'editor', vic: 'viewer' }))
    expect(await api('POST', '/api/v1/users', { name, role, password })).toBe(201)
  await expect.poll(() => api('DELETE', '/api/v1/users/admin')).toBe(204) // whom the demo made, or nobody could log in
  return { ...server, api }
}

const test = base.extend<object, { server: Guarded }>({
  server: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of fixtures from the pattern
    async ({}, use) => {
      const server = await guarded()
      await use(server)
      await server.end()
    },
    { scope: 'worker', timeout: 120_000 },
  ],
  baseURL: async ({ server }, use) => use(server.url),
})

const rows = (page: Page, name: string) => page.getByRole('table', { name, exact: true }).locator('[data-row]')

async function login(page: Page, name: string, path = '/') {
  await page.goto(path)
  await page.getByLabel('Name').fill(name)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in' }).click()
  await expect(page.getByRole('link', { name: `Account: ${name}` })).toBeVisible()
}

async function accessible(page: Page) {
  const { violations } = await new AxeBuilder({ page }).analyze()
  const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
  expect(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join('\n')}`)).toEqual([])
}

test('who is not known logs in, and stays so', async ({ page, context, quiet }) => {
  await page.goto('/alerts')
  const form = page.getByRole('form', { name: 'Log in' })
  await expect(form).toBeVisible()
  await expect(page.getByRole('navigation')).toHaveCount(0)
  await expect(page.getByLabel('Name')).toBeFocused()
  await accessible(page)
  await page.keyboard.type('ann')
  await page.getByLabel('Password').fill('wrong horse')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('alert')).toContainText('name or password is wrong')
  await expect(page.getByLabel('Password')).toHaveValue('')
  expect(quiet.splice(0)).toEqual([expect.stringContaining('401')]) // the browser's own word on the answer
  await page.getByLabel('Password').fill(password)
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { name: 'Rules' })).toBeVisible() // the page that was asked for
  await expect(page.getByRole('button', { name: 'Live' })).toBeVisible() // the WebSocket has the cookie too
  await page.reload()
  await expect(page.getByRole('link', { name: 'Account: ann, admin' })).toBeVisible()
  expect(await page.evaluate(() => document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage }))).not.toContain('ey')
  const [cookie] = await context.cookies()
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', secure: false })

  await page.getByRole('link', { name: 'Account: ann' }).click()
  await page.getByRole('button', { name: 'Log out' }).click()
  await expect(form).toBeVisible()
  await expect(page.getByText('Your session has ended')).toHaveCount(0)
  expect(await context.cookies()).toEqual([])
  expect((await page.request.get('/api/v1/services')).status()).toBe(401)
})

test('who comes from an identity provider goes there, and reads why it came to nothing', async ({ page }) => {
  await page.route('**/api/v1/auth/me', async (route) => {
    const res = await route.fetch()
    await route.fulfill({ response: res, json: { ...(await res.json()), oidc: true } })
  })
  await page.goto('/alerts?q=pay&login=no_role')
  await expect(page.getByRole('alert')).toContainText('assigns you no role')
  const there = page.getByRole('link', { name: 'Log in at the identity provider' })
  await expect(there).toHaveAttribute('href', '/api/v1/auth/oidc/login?to=%2Falerts%3Fq%3Dpay')
  await expect(page.getByRole('button', { name: 'Log in with a password' })).toBeVisible()
  await accessible(page)
})

test('a viewer sees what others may change, and why they may not', async ({ page }) => {
  const reason = 'This needs the role editor, and vic is a viewer: ask an admin.'
  await login(page, 'vic', '/alerts')
  const change = page.getByRole('button', { name: /^Switch .* off/ }).first()
  await expect(change).toBeDisabled()
  await expect(change).toHaveAttribute('title', reason)
  await expect(page.getByRole('button', { name: /Send test/ }).first()).toBeDisabled()
  await page.getByRole('link', { name: 'New rule' }).click()
  await expect(page.getByText(`tried over the past, not kept. ${reason}`)).toBeVisible()
  await page.getByLabel('Name', { exact: true }).fill('Mine')
  await page.getByRole('textbox', { name: 'Condition' }).fill('vector(1) > 0')
  await expect(page.getByRole('button', { name: 'Create rule' })).toBeDisabled()
  await expect(
    page
      .getByText('1 alert')
      .or(page.getByText(/firing/))
      .first(),
  ).toBeVisible() // trying is reading
  await page.goto('/slos')
  await expect(page.getByRole('button', { name: 'New objective' })).toBeDisabled()
  await page.goto('/pipeline')
  await expect(page.getByRole('button', { name: 'Start a replay' })).toBeDisabled()
  await expect(page.getByRole('button', { name: 'Start a verification' })).toBeDisabled()
  const admins = page.getByText('This needs the role admin, and vic is a viewer: ask an admin.')
  await expect(admins).toHaveCount(2) // the backups and the audit
  await page.goto('/account')
  await expect(page.getByText('Users and tokens: This needs the role admin')).toBeVisible()
  await expect(page.getByRole('table')).toHaveCount(0)
  await accessible(page)
})

test('an editor changes rules, and is in the audit', async ({ page, server }) => {
  await login(page, 'ed', '/alerts')
  const change = page.getByRole('button', { name: /^Switch .* off/ }).first()
  await change.click()
  await expect(page.getByRole('button', { name: /^Switch .* on/ })).toHaveCount(1)
  await page.getByRole('button', { name: /^Switch .* on/ }).click()
  await expect(page.getByRole('button', { name: /^Switch .* on/ })).toHaveCount(0)
  const audit = (await (await fetch(`${server.url}/api/v1/audit?kind=rule_switch`, { headers: admin })).json()) as {
    audit: { by: string }[]
  }
  expect(audit.audit.map((a) => a.by)).toEqual(['ed', 'ed'])
})

test('an admin makes users and tokens, and takes them away', async ({ page, server, quiet }) => {
  await login(page, 'ann', '/account')
  await expect(rows(page, 'Users')).toHaveCount(3)
  await page.getByRole('button', { name: 'New user' }).click()
  const user = page.getByRole('form', { name: 'New user' })
  await user.getByLabel('Name').fill('no good')
  await user.getByLabel('Password').fill(password)
  await user.getByRole('button', { name: 'Add user' }).click()
  await expect(user.getByRole('alert')).toContainText('a name has 1 to 64')
  await user.getByLabel('Name').fill('bob')
  await user.getByRole('button', { name: 'Add user' }).click()
  await expect(rows(page, 'Users')).toHaveCount(4)
  await choose(page, 'Role of bob', 'editor')
  await expect(select(page, 'Role of bob')).toHaveValue('editor')
  await choose(page, 'Role of ann', 'viewer')
  await expect(page.getByRole('alert')).toContainText('the last admin cannot be removed')
  await expect(select(page, 'Role of ann')).toHaveValue('admin')
  expect(quiet.splice(0)).toHaveLength(2) // the browser's own words on what was refused
  const bob = rows(page, 'Users').filter({ hasText: 'bob' })
  await bob.getByRole('button', { name: 'Delete' }).click()
  await bob.getByRole('button', { name: 'Really delete' }).click()
  await expect(rows(page, 'Users')).toHaveCount(3)

  await page.getByRole('button', { name: 'New token' }).click()
  const made = page.getByRole('form', { name: 'New token' })
  await made.getByLabel('Name').fill('grafana')
  await choose(made, 'Valid', '90 days')
  await made.getByRole('button', { name: 'Make token' }).click()
  await expect(made.getByRole('status')).toContainText('shown this once')
  const text = (await made.locator('code').textContent()) ?? ''
  expect(text).toMatch(/^wc_[0-9a-f]{16}_[\w-]{43}$/)
  const ask = () => fetch(`${server.url}/api/v1/services`, { headers: { Authorization: `Bearer ${text}` } })
  expect((await ask()).status).toBe(200)
  await accessible(page)
  await page.reload()
  await expect(rows(page, 'API tokens')).toHaveCount(1)
  await expect(rows(page, 'API tokens')).toContainText('ago') // last used
  await expect(page.locator('body')).not.toContainText(text)
  await page.getByRole('button', { name: 'Revoke' }).click()
  await page.getByRole('button', { name: 'Really revoke' }).click()
  await expect(rows(page, 'API tokens')).toHaveCount(0)
  expect((await ask()).status).toBe(401)
})

test('the form comes back when the login ends', async ({ page, quiet, server }) => {
  await login(page, 'vic')
  await expect(page.getByRole('button', { name: 'Live' })).toBeVisible()
  expect(await server.api('PUT', '/api/v1/users/vic', { role: 'editor' })).toBe(200)
  await expect(page.getByRole('form', { name: 'Log in' })).toBeVisible()
  await expect(page.getByRole('status')).toHaveText('Your session has ended. Log in again to continue.')
  await accessible(page)
  quiet.length = 0 // what was under way was refused
  await login(page, 'vic', '/alerts')
  await expect(page.getByRole('button', { name: /^Switch .* off/ }).first()).toBeEnabled()
  expect(await server.api('DELETE', '/api/v1/users/vic')).toBe(204)
  await expect(page.getByRole('form', { name: 'Log in' })).toBeVisible()
  quiet.length = 0
})

test('a page that stays open stays logged in', async ({ page }) => {
  await login(page, 'ed')
  let soon = true
  await page.route('**/api/v1/auth/me', async (route) => {
    const res = await route.fetch()
    const me = (await res.json()) as { expires_at: string }
    if (soon) me.expires_at = new Date(Date.now() + 8_000).toISOString() // as it is after most of a day
    await route.fulfill({ response: res, json: me })
  })
  const renewed = page.waitForResponse((r) => r.url().endsWith('/api/v1/auth/refresh'))
  await page.reload()
  expect((await renewed).status()).toBe(200)
  soon = false
  await page.goto('/account')
  await expect(page.getByText('prolonged while a page is open')).toBeVisible()
})

test('a login that cannot be renewed says that it ends', async ({ page }) => {
  await login(page, 'ed')
  await page.route('**/api/v1/auth/me', async (route) => {
    const res = await route.fetch()
    const me = { ...(await res.json()), local: false, oidc: true, expires_at: new Date(Date.now() + 290_000).toISOString() }
    await route.fulfill({ response: res, json: me })
  })
  await page.goto('/alerts')
  await expect(page.getByText('Your login ends in 5 min')).toBeVisible()
  await expect(page.getByRole('link', { name: 'Log in again now' })).toHaveAttribute('href', '/api/v1/auth/oidc/login?to=%2Falerts')
  await expect(page.getByRole('heading', { name: 'Rules' })).toBeVisible()
  await accessible(page)
})

test('passwords are changed by who has them, and by an admin', async ({ page, server, quiet }) => {
  expect(await server.api('POST', '/api/v1/users', { name: 'pat', role: 'viewer', password })).toBe(201)
  await login(page, 'pat', '/account')
  await page.getByRole('button', { name: 'Change password' }).click()
  const form = page.getByRole('form', { name: 'Change password' })
  const fill = async (now: string, next: string, again: string) => {
    await form.getByLabel('Password now').fill(now)
    await form.getByLabel('New password').fill(next)
    await form.getByLabel('Again').fill(again)
    await form.getByRole('button', { name: 'Set new password' }).click()
  }
  await fill(password, 'another horse', 'other horse')
  await expect(form.getByRole('alert')).toContainText('not the same')
  await fill('wrong horse', 'another horse', 'another horse')
  await expect(form.getByRole('alert')).toContainText('the password is not the one that you have')
  expect(quiet.splice(0)).toEqual([expect.stringContaining('403')])
  await accessible(page)
  await fill(password, 'another horse', 'another horse')
  await expect(page.getByText('The password is changed. Your logins elsewhere have ended.')).toBeVisible()
  await page.getByRole('button', { name: 'Done' }).click()
  await page.reload()
  await expect(page.getByRole('link', { name: 'Account: pat, viewer' })).toBeVisible() // this one goes on
  const enter = (secret: string) =>
    fetch(`${server.url}/api/v1/auth/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username: 'pat', password: secret }),
    }).then((r) => r.status)
  expect(await enter(password)).toBe(401)
  expect(await enter('another horse')).toBe(200)

  await page.getByRole('button', { name: 'Log out' }).click()
  await login(page, 'ann', '/account')
  await page.getByRole('button', { name: 'Set password of pat' }).click()
  const reset = page.getByRole('form', { name: 'New password of pat' })
  await reset.getByLabel('New password').fill('a third horse')
  await reset.getByLabel('Again').fill('a third horse')
  await reset.getByRole('button', { name: 'Set password' }).click()
  await expect(reset).toHaveCount(0)
  expect(await enter('a third horse')).toBe(200)
  await page.goto('/pipeline')
  await choose(page, 'Of', 'logins')
  await expect(rows(page, 'Audit').filter({ hasText: 'refuse' }).filter({ hasText: 'pat' }).first()).toContainText('from 127.0.0.1')
  expect(await server.api('DELETE', '/api/v1/users/pat')).toBe(204)
})
