import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const s = createServer()
    s.on('error', reject)
    s.listen(0, '127.0.0.1', () => {
      const address = s.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      s.close(() => resolve(port))
    })
  })
}

async function answers(url: string, headers: Record<string, string>, empty: boolean): Promise<boolean> {
  try {
    if (empty) return (await fetch(`${url}/readyz`)).ok
    const res = await fetch(`${url}/api/v1/services`, { headers })
    return res.ok && ((await res.json()) as { total: number }).total > 0
  } catch {
    return false
  }
}

export interface Demo {
  url: string
  /** Where spans can be sent as OTLP over HTTP. */
  receiver: string
  pid: number
  end: () => Promise<void>
}

type Settings = Record<string, string>

/** Starts the demo on free ports and a new data folder. Headers are what it takes to ask it something. */
export async function demo(
  settings: Settings | ((url: string) => Settings),
  headers: Record<string, string> = {},
  more: string[] = [],
): Promise<Demo> {
  const bin = process.env.WATCHINGCAT_BIN
  if (!bin) throw new Error('WATCHINGCAT_BIN is not set: give the path of the watchingcat program')
  const data = mkdtempSync(join(tmpdir(), 'watchingcat-e2e-'))
  const [http, grpc, otlp] = [await freePort(), await freePort(), await freePort()]
  const url = `http://127.0.0.1:${http}`
  const args = ['demo', '--faults', 'deployment', '--data-dir', data, '--http-addr', `127.0.0.1:${http}`]
  args.push('--otlp-grpc-addr', `127.0.0.1:${grpc}`, '--otlp-http-addr', `127.0.0.1:${otlp}`)
  args.push(...more)
  const env: Record<string, string | undefined> = { ...process.env, ...(typeof settings === 'function' ? settings(url) : settings) }
  delete env.WATCHINGCAT_BIN
  delete env.WATCHINGCAT_URL
  const child: ChildProcess = spawn(bin, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr?.on('data', (d: Buffer) => {
    log = (log + d.toString()).slice(-4000)
  })
  let ended = false
  child.on('exit', () => {
    ended = true
  })
  for (let i = 0; !(await answers(url, headers, more.includes('--empty'))); i++) {
    if (ended || i > 240) {
      child.kill('SIGKILL')
      throw new Error(`the demo does not answer:\n${log}`)
    }
    await new Promise((r) => setTimeout(r, 250))
  }
  const end = async () => {
    if (!ended) {
      const gone = new Promise((r) => child.once('exit', r))
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
      await gone
      clearTimeout(timer)
    }
    rmSync(data, { recursive: true, force: true })
  }
  return { url, receiver: `http://127.0.0.1:${otlp}`, pid: child.pid ?? 0, end }
}

/** The demo that most tests look at; it ends after them. */
export default async function setup(): Promise<() => Promise<void>> {
  const { url, receiver, end } = await demo({ WATCHINGCAT_JAEGER_URL: 'http://jaeger.example:16686/ui' })
  process.env.WATCHINGCAT_URL = url
  process.env.E2E_RECEIVER = receiver
  return end
}
