import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Meta, Service } from '../api/types'
import { LiveClient } from './client'

const meta = (lag = 0): Meta => ({
  source: 'view',
  since: '2026-11-23T10:00:00Z',
  up_to: '2026-11-23T10:15:00Z',
  lag_ms: lag,
  partial: false,
  warnings: [],
  view_version: 1,
})

const service = (name: string, calls: number): Service => {
  const red = { calls, errors: 0, rate: calls / 10, error_rate: 0, p50_ms: 1, p95_ms: 2, p99_ms: 3 }
  return { name, ...red, last_seen: '2026-11-23T10:14:59Z', entry: red }
}

class FakeSocket {
  static all: FakeSocket[] = []
  readyState = 0
  sent: { type: string; id: string; view?: string; filter?: unknown }[] = []
  onopen?: () => void
  onmessage?: (e: { data: string }) => void
  onclose?: (e: { code: number }) => void
  constructor() {
    FakeSocket.all.push(this)
  }
  send(text: string) {
    this.sent.push(JSON.parse(text))
  }
  close() {
    this.drop()
  }
  accept() {
    this.readyState = 1
    this.onopen?.()
  }
  drop(code = 1006) {
    if (this.readyState === 3) return
    this.readyState = 3
    this.onclose?.({ code })
  }
  say(frame: unknown) {
    this.onmessage?.({ data: JSON.stringify(frame) })
  }
  /** The id of the newest subscription to a view. */
  id(view = 'services') {
    return this.sent.filter((m) => m.type === 'subscribe' && m.view === view).at(-1)?.id ?? ''
  }
}

const ended = vi.fn()
const get = vi.fn<(path: string, query: unknown) => Promise<unknown>>()
let client: LiveClient
const filter = { range: '15m' }
const names = () => client.shown('services', filter).data?.services.map((s) => `${s.name}=${s.calls}`)
const socket = () => FakeSocket.all.at(-1) as FakeSocket

beforeEach(() => {
  vi.useFakeTimers()
  FakeSocket.all = []
  ended.mockReset()
  get.mockReset().mockRejectedValue(new Error('down'))
  client = new LiveClient({ url: 'ws://test/ws', open: () => new FakeSocket() as unknown as WebSocket, get, ended })
  client.start()
})

afterEach(() => {
  client.stop()
  vi.useRealTimers()
})

function primed(listener = () => {}) {
  const end = client.subscribe('services', filter, listener)
  socket().accept()
  socket().say({
    type: 'snapshot',
    id: socket().id(),
    seq: 1,
    data: { services: [service('cart', 1), service('shop', 2)], total: 2, meta: meta() },
  })
  return end
}

test('a snapshot is shown, and deltas change, add and remove', () => {
  const listener = vi.fn()
  primed(listener)
  expect(names()).toEqual(['cart=1', 'shop=2'])
  expect(client.getStatus().mode).toBe('live')
  const before = client.shown('services', filter).data?.services[0]
  socket().say({
    type: 'delta',
    id: socket().id(),
    seq: 2,
    data: { services: [service('shop', 3), service('ads', 9)], removed: [], meta: meta(40) },
  })
  expect(names()).toEqual(['cart=1', 'shop=3', 'ads=9'])
  expect(client.shown('services', filter).data?.services[0]).toBe(before)
  expect(client.getStatus().meta?.lag_ms).toBe(40)
  socket().say({ type: 'delta', id: socket().id(), seq: 3, data: { services: [], removed: ['cart'], meta: meta() } })
  expect(names()).toEqual(['shop=3', 'ads=9'])
  expect(listener).toHaveBeenCalledTimes(3)
})

test('a gap in the sequence asks for a new snapshot and shows no delta before it', () => {
  primed()
  const old = socket().id()
  socket().say({ type: 'delta', id: old, seq: 3, data: { services: [service('cart', 99)], removed: [], meta: meta() } })
  const again = socket().id()
  expect(again).not.toBe(old)
  expect(names()).toEqual(['cart=1', 'shop=2'])
  socket().say({ type: 'delta', id: old, seq: 4, data: { services: [service('cart', 100)], removed: [], meta: meta() } })
  expect(names()).toEqual(['cart=1', 'shop=2'])
  socket().say({ type: 'snapshot', id: again, seq: 7, data: { services: [service('cart', 101)], total: 1, meta: meta() } })
  socket().say({ type: 'delta', id: again, seq: 8, data: { services: [service('cart', 102)], removed: [], meta: meta() } })
  expect(names()).toEqual(['cart=102'])
})

test('away nothing comes, and back again each subscription resumes where it was', async () => {
  const listener = vi.fn()
  client.subscribe('services', filter, listener)
  socket().accept()
  const services = [service('cart', 1)]
  socket().say({ type: 'snapshot', id: socket().id(), seq: 4, stream: 'x.1', data: { services, total: 1, meta: meta() } })
  const id = socket().id()
  listener.mockClear()
  const sent = socket().sent.length
  client.setAway(true)
  expect(socket().sent.slice(sent)).toEqual([{ type: 'unsubscribe', id }])
  socket().say({ type: 'delta', id, seq: 5, stream: 'x.1', data: { services: [service('cart', 2)], removed: [], meta: meta() } })
  await vi.advanceTimersByTimeAsync(120_000)
  expect(listener).not.toHaveBeenCalled()
  expect(socket().sent).toHaveLength(sent + 1)
  expect(FakeSocket.all).toHaveLength(1)
  expect(client.getStatus()).toMatchObject({ mode: 'live', stale: false })
  client.setAway(false)
  expect(socket().sent.at(-1)).toMatchObject({ type: 'subscribe', view: 'services', cursor: 4, stream: 'x.1' })
  socket().say({ type: 'resumed', id: socket().id(), seq: 4, stream: 'x.1', data: null })
  const delta = { services: [service('cart', 2)], removed: [], meta: meta() }
  socket().say({ type: 'delta', id: socket().id(), seq: 5, stream: 'x.1', data: delta })
  expect(names()).toEqual(['cart=2'])
})

test('a connection that is lost while away is opened again, and its subscriptions begin when someone looks', async () => {
  primed()
  client.setAway(true)
  socket().drop()
  await vi.advanceTimersByTimeAsync(1_000)
  socket().accept()
  expect(socket().sent).toEqual([])
  await vi.advanceTimersByTimeAsync(60_000)
  expect(get).not.toHaveBeenCalled()
  client.setAway(false)
  expect(socket().sent).toMatchObject([{ type: 'subscribe', view: 'services', filter }])
})

test('a lost connection is opened again and subscribes again', async () => {
  primed()
  socket().drop()
  expect(client.getStatus().mode).toBe('connecting')
  expect(names()).toEqual(['cart=1', 'shop=2'])
  await vi.advanceTimersByTimeAsync(1000)
  expect(FakeSocket.all).toHaveLength(2)
  socket().accept()
  expect(socket().sent[0]).toMatchObject({ type: 'subscribe', view: 'services', filter })
  socket().say({ type: 'snapshot', id: socket().id(), seq: 1, data: { services: [service('cart', 5)], total: 1, meta: meta() } })
  expect(names()).toEqual(['cart=5'])
  expect(client.getStatus().mode).toBe('live')
})

test('without a WebSocket it polls, and stops when one is back', async () => {
  client.subscribe('services', filter, () => {})
  get.mockImplementation(async () => ({ services: [service('cart', 1)], total: 1, meta: meta() }))
  socket().drop()
  await vi.advanceTimersByTimeAsync(700)
  socket().drop()
  await vi.advanceTimersByTimeAsync(10)
  expect(client.getStatus().mode).toBe('polling')
  expect(get).toHaveBeenCalledWith('/api/v1/services', { start: expect.any(Number) })
  expect(names()).toEqual(['cart=1'])
  await vi.advanceTimersByTimeAsync(2000)
  socket().accept()
  socket().say({ type: 'snapshot', id: socket().id(), seq: 1, data: { services: [service('cart', 2)], total: 1, meta: meta() } })
  expect(client.getStatus().mode).toBe('live')
  const calls = get.mock.calls.length
  await vi.advanceTimersByTimeAsync(20_000)
  expect(get.mock.calls.length).toBe(calls)
})

test('with nothing answering it says so and keeps what it shows', async () => {
  primed()
  socket().drop()
  await vi.advanceTimersByTimeAsync(700)
  socket().drop()
  await vi.advanceTimersByTimeAsync(10)
  expect(client.getStatus().mode).toBe('offline')
  expect(names()).toEqual(['cart=1', 'shop=2'])
})

test('pauses between attempts grow to a bound', async () => {
  for (let i = 0; i < 12; i++) {
    socket().drop()
    await vi.advanceTimersByTimeAsync(19_000)
  }
  const opened = FakeSocket.all.length
  socket().drop()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(FakeSocket.all.length).toBe(opened)
  await vi.advanceTimersByTimeAsync(9_000)
  expect(FakeSocket.all.length).toBe(opened + 1)
})

test('a server that says nothing is stale within 3 s, until it says something', () => {
  primed()
  vi.advanceTimersByTime(2_000)
  expect(client.getStatus().stale).toBe(false)
  expect(socket().sent.filter((m) => m.type === 'ping')).toHaveLength(1)
  vi.advanceTimersByTime(1_000)
  expect(client.getStatus()).toMatchObject({ mode: 'live', stale: true })
  socket().say({ type: 'pong', id: '' })
  expect(client.getStatus()).toMatchObject({ mode: 'live', stale: false })
})

test('a quiet server that answers is not stale', () => {
  primed()
  for (let i = 0; i < 20; i++) {
    const asked = socket().sent.filter((m) => m.type === 'ping').length
    vi.advanceTimersByTime(500)
    if (socket().sent.filter((m) => m.type === 'ping').length > asked) socket().say({ type: 'pong', id: '' })
    expect(client.getStatus().stale).toBe(false)
  }
})

test('a connection that says nothing is given up', async () => {
  primed()
  await vi.advanceTimersByTimeAsync(15_000)
  expect(socket().sent.at(-1)).toEqual({ type: 'ping' })
  const silent = socket()
  await vi.advanceTimersByTimeAsync(20_000)
  expect(silent.readyState).toBe(3)
  expect(FakeSocket.all.length).toBeGreaterThan(1)
})

test('while paused nothing moves, and what came is shown on resuming', () => {
  primed()
  client.setPaused(true)
  socket().say({ type: 'delta', id: socket().id(), seq: 2, data: { services: [service('cart', 7)], removed: [], meta: meta(9) } })
  expect(names()).toEqual(['cart=1', 'shop=2'])
  expect(client.getStatus()).toMatchObject({ held: 1, meta: { lag_ms: 0 } })
  client.setPaused(false)
  expect(names()).toEqual(['cart=7', 'shop=2'])
  expect(client.getStatus()).toMatchObject({ held: 0, meta: { lag_ms: 9 } })
})

test('the last to leave unsubscribes, after a while', async () => {
  const end = primed()
  const id = socket().id()
  end()
  await vi.advanceTimersByTimeAsync(1000)
  expect(socket().sent.some((m) => m.type === 'unsubscribe')).toBe(false)
  await vi.advanceTimersByTimeAsync(1500)
  expect(socket().sent.at(-1)).toEqual({ type: 'unsubscribe', id })
})

test('a refusal is shown', () => {
  client.subscribe('services', filter, () => {})
  socket().accept()
  socket().say({ type: 'error', id: socket().id(), code: 'invalid_filter', error: 'range is longer than 24h0m0s' })
  expect(client.shown('services', filter).error).toBe('range is longer than 24h0m0s')
})

test('edges and alerts are merged by what tells them apart', () => {
  const edge = (client: string, calls: number) => ({
    client,
    server: 'db',
    connection_type: 'database',
    calls,
    failed: 0,
    client_p95_ms: 1,
    server_p95_ms: 1,
  })
  client.subscribe('servicemap', {}, () => {})
  socket().accept()
  const id = socket().id('servicemap')
  socket().say({ type: 'snapshot', id, seq: 1, data: { nodes: [], edges: [edge('a', 1), edge('b', 1)], unpaired: [], meta: meta() } })
  socket().say({
    type: 'delta',
    id,
    seq: 2,
    data: {
      nodes: [{ name: 'a', type: 'service' }],
      edges: [edge('a', 2)],
      removed: [{ client: 'b', server: 'db', connection_type: 'database' }],
      unpaired: [],
      meta: meta(),
    },
  })
  const shown = client.shown('servicemap', {}).data
  expect(shown?.edges).toEqual([edge('a', 2)])
  expect(shown?.nodes).toEqual([{ name: 'a', type: 'service' }])
})

test('it is told when the server no longer knows who looks, and only then', () => {
  primed()
  socket().drop(1001)
  expect(ended).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1_000)
  socket().accept()
  socket().drop(4401)
  expect(ended).toHaveBeenCalledOnce()
})

test('after a short break it goes on from where it was', () => {
  primed()
  socket().say({ type: 'snapshot', id: socket().id(), seq: 1, stream: 'x.-1', data: { services: [service('cart', 1)], meta: meta() } })
  socket().drop()
  vi.advanceTimersByTime(1_000)
  socket().accept()
  expect(socket().sent.at(-1)).toMatchObject({ type: 'subscribe', cursor: 1, stream: 'x.-1' })
  socket().say({ type: 'resumed', id: socket().id(), seq: 1, stream: 'x.-1', data: null })
  expect(client.getStatus().mode).toBe('live')
  socket().say({
    type: 'delta',
    id: socket().id(),
    seq: 2,
    stream: 'x.-1',
    data: { services: [service('cart', 2)], removed: [], meta: meta() },
  })
  expect(names()).toEqual(['cart=2'])
})

test('what was polled is no place to go on from', async () => {
  primed()
  socket().say({ type: 'snapshot', id: socket().id(), seq: 1, stream: 'x.-1', data: { services: [service('cart', 1)], meta: meta() } })
  get.mockResolvedValue({ services: [service('cart', 5)], meta: meta() })
  socket().drop()
  await vi.advanceTimersByTimeAsync(1_000)
  socket().drop() // the second failure: polling begins
  await vi.advanceTimersByTimeAsync(6_000)
  expect(names()).toEqual(['cart=5'])
  socket().accept()
  expect(socket().sent.at(-1)).toMatchObject({ type: 'subscribe' })
  expect(socket().sent.at(-1)).not.toHaveProperty('cursor')
})
