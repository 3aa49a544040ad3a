// What a page costs a browser while data arrives: the main thread's share of a core, tasks longer than 50 ms, layout shift, and memory after a
// collection of garbage. WATCHINGCAT_BIN is the program; it runs as a demo that also gets what the scene sends. SCENE is one of
//   services  the first page with SERVICES services (500) whose numbers change four times a second
//   tail      the live tail while LINES log lines a second arrive (1,000)
//   map       the service map of SERVICES services (200) that call each other
// PROFILE=FILE writes a CPU profile. A long run, SECONDS_EACH=60 ROUNDS=30, shows whether memory grows.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from '@playwright/test'

const scene = process.env.SCENE ?? 'services'
const services = Number(process.env.SERVICES ?? (scene === 'map' ? 200 : 500))
const lines = Number(process.env.LINES ?? 1000)
const seconds = Number(process.env.SECONDS_EACH ?? 30)
const profile = process.env.PROFILE // a file for the CPU profile of all rounds, which Chromium's tools open
const rounds = Number(process.env.ROUNDS ?? 3)
const bin = process.env.WATCHINGCAT_BIN
if (!bin) throw new Error('WATCHINGCAT_BIN is not set: give the path of the watchingcat program')

const freePort = () =>
  new Promise((resolve, reject) => {
    const s = createServer()
    s.on('error', reject)
    s.listen(0, '127.0.0.1', () => {
      const { port } = s.address()
      s.close(() => resolve(port))
    })
  })
const sleep = (ms) => new Promise((r) => setTimeout(r, ms))

const data = mkdtempSync(join(tmpdir(), 'watchingcat-bench-page-'))
const [http, grpc, otlp] = [await freePort(), await freePort(), await freePort()]
const url = `http://127.0.0.1:${http}`
const args = ['demo', '--data-dir', data, '--http-addr', `127.0.0.1:${http}`]
args.push('--otlp-grpc-addr', `127.0.0.1:${grpc}`, '--otlp-http-addr', `127.0.0.1:${otlp}`)
const { WATCHINGCAT_BIN: _, ...env } = process.env // the program refuses settings that it does not know
const server = spawn(bin, args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
const running = () => server.exitCode === null

const attribute = (key, stringValue) => ({ key, value: { stringValue } })
const post = (signal, body) =>
  fetch(`http://127.0.0.1:${otlp}/v1/${signal}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })

let sent = 0
const nextID = () => (++sent).toString(16).padStart(16, '0')

function spanOf(service, name, kind, end, traceId, parentSpanId) {
  const took = BigInt(Math.round((5 + (service % 50)) * (0.5 + Math.random()) * 1e6))
  const span = {
    traceId,
    spanId: nextID(),
    parentSpanId,
    name,
    kind,
    startTimeUnixNano: String(end - took),
    endTimeUnixNano: String(end),
    status: Math.random() < (service % 100 === 0 ? 0.4 : 0.002) ? { code: 2 } : {},
  }
  const attributes = [
    attribute('service.name', `service-${String(service).padStart(3, '0')}`),
    attribute('service.namespace', `team-${service % 12}`),
  ]
  return { resource: { attributes }, scopeSpans: [{ spans: [span] }] }
}

const spanID = (resourceSpan) => resourceSpan.scopeSpans[0].spans[0].spanId

/** One request a service each time, so that every row changes with every update. */
function sendRequests() {
  const end = BigInt(Date.now()) * 1_000_000n
  const of = (_, i) => spanOf(i, `GET /${i % 7}`, 2, end, nextID().padStart(32, '0'))
  return post('traces', { resourceSpans: Array.from({ length: services }, of) })
}

/** One call from each service to one or two of those below it, so that every edge changes with every update. */
function sendCalls() {
  const end = BigInt(Date.now()) * 1_000_000n
  const resourceSpans = []
  for (let i = 1; i < services; i++) {
    for (const by of i % 8 === 0 ? [(i - 1) >> 2, (i - 1) >> 3] : [(i - 1) >> 2]) {
      const trace = nextID().padStart(32, '0')
      const client = spanOf(by, 'call', 3, end, trace)
      resourceSpans.push(client, spanOf(i, 'Serve', 2, end, trace, spanID(client)))
    }
  }
  return post('traces', { resourceSpans })
}

function sendLines() {
  const now = BigInt(Date.now()) * 1_000_000n
  const logRecords = Array.from({ length: lines / 4 }, (_, i) => ({
    timeUnixNano: String(now + BigInt(i)),
    severityNumber: i % 40 === 0 ? 17 : 9,
    body: { stringValue: `handled GET /product/${++sent} for customer ${i} in ${(Math.random() * 50).toFixed(2)} ms` },
    attributes: [attribute('code.function.name', 'serve')],
  }))
  const resource = { attributes: [attribute('service.name', 'chatty')] }
  return post('logs', { resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] })
}

const rowsOf = (label, n) => [([name, min]) => document.querySelector(`table[aria-label="${name}"]`)?.ariaRowCount > min, [label, n]]
const scenes = {
  services: { send: sendRequests, path: '/', ready: rowsOf('Services', services) },
  tail: { send: sendLines, path: '/logs?service=chatty&tail=1', ready: [() => document.querySelectorAll('[data-row]').length > 5] },
  map: { send: sendCalls, path: '/map', ready: [() => document.querySelectorAll('.map-box').length > 0] },
}
if (!(scene in scenes)) throw new Error(`SCENE: ${scene} is none of ${Object.keys(scenes).join(', ')}`)
const { send, path, ready } = scenes[scene]

async function main() {
  for (let i = 0; running() && i < 240; i++) {
    const ok = await fetch(`${url}/api/v1/services`)
      .then((r) => r.ok)
      .catch(() => false)
    if (ok) break
    await sleep(250)
  }
  let sending = true
  const sender = (async () => {
    while (sending && running()) {
      const next = Date.now() + 250
      await send().catch((e) => console.error(String(e)))
      await sleep(Math.max(0, next - Date.now()))
    }
  })()
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  })
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  await page.addInitScript(() => {
    window.seen = { long: [], shift: 0, moved: [] }
    new PerformanceObserver((l) => {
      for (const e of l.getEntries()) window.seen.long.push(Math.round(e.duration))
    }).observe({ type: 'longtask', buffered: true })
    new PerformanceObserver((l) => {
      for (const e of l.getEntries()) {
        window.seen.shift += e.value
        for (const x of e.sources) if (x.node) window.seen.moved.push(x.node.className || x.node.nodeName)
      }
    }).observe({ type: 'layout-shift', buffered: true })
  })
  page.on('websocket', (ws) =>
    ws.on('framereceived', (f) => {
      frames++
      bytes += f.payload.length
    }),
  )
  let [frames, bytes] = [0, 0]
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Performance.enable', { timeDomain: 'timeTicks' })
  const read = async () => {
    const { metrics } = await cdp.send('Performance.getMetrics')
    return Object.fromEntries(metrics.map((m) => [m.name, m.value]))
  }
  const reset = () =>
    page.evaluate(() => {
      const was = window.seen
      window.seen = { long: [], shift: 0, moved: [] }
      return was
    })
  await page.goto(url + path)
  await page.waitForFunction(...ready)
  await sleep(10_000)
  const load = await reset()
  console.log(
    `loading: long tasks ${load.long.join(', ') || 'none'} ms, layout shift ${load.shift.toFixed(4)} (${[...new Set(load.moved)].join(', ')})`,
  )
  if (profile) {
    await cdp.send('Profiler.enable')
    await cdp.send('Profiler.start')
  }
  console.log('round  main thread  script  style+layout  frames/s  KB/s  tasks > 50 ms          layout shift  elements  heap after GC')
  for (let i = 1; i <= rounds; i++) {
    await reset()
    ;[frames, bytes] = [0, 0]
    const a = await read()
    await sleep(seconds * 1000)
    const b = await read()
    const s = await reset()
    const of = (...names) => `${((100 * names.reduce((t, n) => t + b[n] - a[n], 0)) / (b.Timestamp - a.Timestamp)).toFixed(1)} %`
    await cdp.send('HeapProfiler.collectGarbage')
    const after = await read()
    console.log(
      [
        String(i).padEnd(5),
        of('TaskDuration').padEnd(11),
        of('ScriptDuration').padEnd(6),
        of('LayoutDuration', 'RecalcStyleDuration').padEnd(12),
        (frames / seconds).toFixed(1).padEnd(8),
        (bytes / seconds / 1024).toFixed(0).padEnd(4),
        (s.long.length === 0 ? 'none' : `${s.long.length}, longest ${Math.max(...s.long)} ms`).padEnd(21),
        s.shift.toFixed(4).padEnd(12),
        String(after.Nodes).padEnd(8),
        `${(after.JSHeapUsedSize / 2 ** 20).toFixed(1)} MB`,
      ].join('  '),
    )
    if (s.moved.length > 0) console.log(`       moved: ${[...new Set(s.moved)].join(', ')}`)
  }
  if (profile) writeFileSync(profile, JSON.stringify((await cdp.send('Profiler.stop')).profile))
  await browser.close()
  sending = false
  await sender
}

try {
  await main()
} finally {
  if (running()) {
    const gone = new Promise((r) => server.once('exit', r))
    server.kill('SIGTERM')
    await gone
  }
  rmSync(data, { recursive: true, force: true })
}
