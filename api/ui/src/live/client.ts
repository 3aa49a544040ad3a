import type { Query } from '../api/client'
import type { Meta } from '../api/types'
import { setTrust } from '../lib/trust'
import { type Deltas, type Filter, merge, narrow, pollOf, type ViewName, type Views } from './views'

/**
 * How the data comes. connecting: for the first time, or again for a short while; live: by WebSocket; polling: there is no
 * WebSocket, but GETs are answered; offline: nothing is answered.
 */
export type Mode = 'connecting' | 'live' | 'polling' | 'offline'

/** What a page sees of one subscription. It is replaced whole on each change. */
export interface Shown<V extends ViewName> {
  data: Views[V] | undefined
  error: string | undefined
}

export interface Status {
  mode: Mode
  paused: boolean
  held: number // updates that came while paused and are not shown
  /** The server has said nothing for longer than it ever does, though the connection is open. */
  stale: boolean
  meta: Meta | undefined
}

interface Frame {
  type: string
  id: string
  seq?: number
  stream?: string
  data?: unknown
  error?: string
}

export interface Options {
  url: string
  open?: (url: string) => WebSocket
  get: (path: string, query: Query) => Promise<unknown>
  /** The server has ended the connection because it no longer knows who looks. */
  ended?: () => void
}

const backoffMin = 500
const backoffMax = 15_000
const pollEvery = 5_000
const silentFor = 25_000 // then the connection is given up
const askAfter = 1_000 // of silence, by a ping, which the server answers at once
const staleAfter = 2_500
const watchEvery = 500
const pollAfterFailures = 2
const credentialEnded = 4401

/** One view through one filter, shared by all that show it. */
class Subscription<V extends ViewName> {
  latest: Views[V] | undefined
  shown: Shown<V> = { data: undefined, error: undefined }
  seq = 0
  /** What seq counts, while latest is what frames made of it. */
  stream: string | undefined
  primed = false
  generation = 0
  polling = false
  readonly listeners = new Set<() => void>()

  constructor(
    readonly key: string,
    readonly view: V,
    readonly filter: Filter,
  ) {}

  /** A new id for each attempt, so that frames of an earlier one are recognised. */
  get id(): string {
    return `${this.key}#${this.generation}`
  }

  show(next: Shown<V>): void {
    this.shown = next
    for (const l of this.listeners) l()
  }
}

/**
 * Live data by one WebSocket: snapshot, then deltas. A gap in a subscription's sequence asks for a new snapshot; a lost
 * connection is opened again with growing pauses, and bridged by polling when it does not come back. While paused, data is taken
 * but not shown; while no one can see the page, none comes.
 */
export class LiveClient {
  private readonly subs = new Map<string, Subscription<ViewName>>()
  private readonly statusListeners = new Set<() => void>()
  private status: Status = { mode: 'connecting', paused: false, held: 0, stale: false, meta: undefined }
  private latestMeta: Meta | undefined
  private socket: WebSocket | undefined
  private failures = 0
  private reconnect: ReturnType<typeof setTimeout> | undefined
  private poller: ReturnType<typeof setInterval> | undefined
  private watchdog: ReturnType<typeof setInterval> | undefined
  private heard = 0
  private asked = 0
  private away = false
  private closed = true

  constructor(private readonly options: Options) {}

  start(): void {
    if (!this.closed) return
    this.closed = false
    this.connect()
    this.watchdog = setInterval(() => this.checkAlive(), watchEvery)
  }

  stop(): void {
    this.closed = true
    clearTimeout(this.reconnect)
    clearInterval(this.watchdog)
    this.stopPolling()
    const s = this.socket
    this.socket = undefined
    s?.close(1000)
  }

  readonly onStatus = (listener: () => void): (() => void) => {
    this.statusListeners.add(listener)
    return () => this.statusListeners.delete(listener)
  }

  readonly getStatus = (): Status => this.status

  subscribe<V extends ViewName>(view: V, filter: Filter, listener: () => void): () => void {
    const key = keyOf(view, filter)
    let sub = this.subs.get(key)
    if (sub === undefined) {
      sub = new Subscription<ViewName>(key, view, filter)
      this.subs.set(key, sub)
      this.sendSubscribe(sub)
      if (this.poller !== undefined) void this.poll(sub)
    }
    const s = sub
    s.listeners.add(listener)
    return () => {
      s.listeners.delete(listener)
      // Not at once: going from one page to the next often wants the same again.
      setTimeout(() => {
        if (s.listeners.size > 0 || this.subs.get(key) !== s) return
        this.subs.delete(key)
        if (this.isOpen() && !this.away) this.send({ type: 'unsubscribe', id: s.id })
      }, 2_000)
    }
  }

  shown<V extends ViewName>(view: V, filter: Filter): Shown<V> {
    return (this.subs.get(keyOf(view, filter))?.shown ?? nothing) as Shown<V>
  }

  setPaused(paused: boolean): void {
    if (paused === this.status.paused) return
    this.setStatus({ paused, held: 0, meta: paused ? this.status.meta : this.latestMeta })
    if (paused) return
    for (const s of this.subs.values()) if (s.latest !== s.shown.data) s.show({ data: s.latest, error: undefined })
  }

  /** Away, the subscriptions end, but not the connection. Back again, each resumes where it was. */
  setAway(away: boolean): void {
    if (away === this.away) return
    this.away = away
    this.heard = Date.now() // nothing came because nothing was to come
    for (const sub of this.subs.values()) {
      if (!away) this.sendSubscribe(sub)
      else if (this.isOpen()) this.send({ type: 'unsubscribe', id: sub.id })
      sub.primed = false
    }
  }

  private setStatus(part: Partial<Status>): void {
    this.status = { ...this.status, ...part }
    setTrust(!this.status.stale)
    for (const l of this.statusListeners) l()
  }

  private isOpen(): boolean {
    return this.socket?.readyState === 1
  }

  private send(message: unknown): void {
    this.socket?.send(JSON.stringify(message))
  }

  private connect(): void {
    if (this.closed) return
    let s: WebSocket
    try {
      s = (this.options.open ?? ((url) => new WebSocket(url)))(this.options.url)
    } catch {
      this.lost()
      return
    }
    this.socket = s
    this.heard = Date.now()
    s.onopen = () => {
      if (s !== this.socket) return
      for (const sub of this.subs.values()) this.sendSubscribe(sub)
    }
    s.onmessage = (event) => {
      if (s !== this.socket) return
      this.heard = Date.now()
      if (this.status.stale) this.setStatus({ stale: false })
      this.receive(String(event.data))
    }
    s.onclose = (event) => {
      if (s !== this.socket) return
      if (event?.code === credentialEnded) this.options.ended?.()
      this.socket = undefined
      this.lost()
    }
  }

  private lost(): void {
    if (this.closed) return
    for (const sub of this.subs.values()) sub.primed = false
    this.failures++
    if (this.failures >= pollAfterFailures) this.startPolling()
    else this.setStatus({ mode: 'connecting', stale: this.latestMeta !== undefined })
    const pause = Math.min(backoffMax, backoffMin * 2 ** (this.failures - 1))
    this.reconnect = setTimeout(() => this.connect(), pause * (0.75 + Math.random() / 2))
  }

  /** A connection may be gone without either side knowing; then neither data nor pongs come. */
  private checkAlive(): void {
    if (this.socket === undefined || this.away) return
    const silent = Date.now() - this.heard
    if (silent > silentFor) {
      const s = this.socket
      this.socket = undefined
      s.close()
      this.lost()
    } else if (silent > askAfter && this.isOpen()) {
      if (Date.now() - this.asked > askAfter) {
        this.asked = Date.now()
        this.send({ type: 'ping' })
      }
      if (silent > staleAfter && !this.status.stale && this.latestMeta !== undefined) this.setStatus({ stale: true })
    }
  }

  private sendSubscribe(sub: Subscription<ViewName>): void {
    if (this.away || !this.isOpen()) return
    sub.generation++
    sub.primed = false
    const place = sub.stream === undefined ? {} : { cursor: sub.seq, stream: sub.stream }
    this.send({ type: 'subscribe', id: sub.id, view: sub.view, filter: sub.filter, ...place })
  }

  private receive(text: string): void {
    let frame: Frame
    try {
      frame = JSON.parse(text) as Frame
    } catch {
      return
    }
    const sub = this.subs.get(frame.id?.slice(0, frame.id.lastIndexOf('#')) ?? '')
    if (sub === undefined || frame.id !== sub.id) return
    if (frame.type === 'resumed') {
      sub.primed = true
      this.connected()
    } else if (frame.type === 'snapshot') {
      sub.primed = true
      sub.seq = frame.seq ?? 0
      sub.stream = frame.stream
      this.connected()
      this.take(sub, frame.data as Views[ViewName])
    } else if (frame.type === 'delta' && sub.primed && sub.latest !== undefined) {
      if (frame.seq !== sub.seq + 1) {
        this.send({ type: 'unsubscribe', id: sub.id })
        sub.stream = undefined
        this.sendSubscribe(sub)
        return
      }
      sub.seq = frame.seq
      const apply = merge[sub.view] as (old: Views[ViewName], delta: Deltas[ViewName]) => Views[ViewName]
      this.take(sub, apply(sub.latest, frame.data as Deltas[ViewName]))
    } else if (frame.type === 'error') {
      sub.show({ ...sub.shown, error: frame.error ?? 'refused' })
    }
  }

  private connected(): void {
    this.failures = 0
    this.stopPolling()
    if (this.status.mode !== 'live' || this.status.stale) this.setStatus({ mode: 'live', stale: false })
  }

  private take(sub: Subscription<ViewName>, data: Views[ViewName]): void {
    sub.latest = data
    this.latestMeta = data.meta
    if (this.status.paused && sub.shown.data !== undefined) {
      this.setStatus({ held: this.status.held + 1 })
      return
    }
    sub.show({ data, error: undefined })
    if (!this.status.paused) this.setStatus({ meta: data.meta })
  }

  private startPolling(): void {
    if (this.poller !== undefined) return
    const all = () => {
      if (this.away) return
      for (const sub of this.subs.values()) void this.poll(sub)
    }
    this.poller = setInterval(all, pollEvery)
    all()
  }

  private stopPolling(): void {
    clearInterval(this.poller)
    this.poller = undefined
  }

  private async poll(sub: Subscription<ViewName>): Promise<void> {
    if (sub.polling) return
    sub.polling = true
    const { path, query } = pollOf(sub.view, sub.filter)
    try {
      const data = (await this.options.get(path, query)) as Views[ViewName]
      if (sub.primed || this.poller === undefined) return // the WebSocket was faster
      if (this.status.mode !== 'polling' || this.status.stale) this.setStatus({ mode: 'polling', stale: false })
      sub.stream = undefined // deltas are no more to what is shown
      this.take(sub, narrow(sub.view, sub.filter, data))
    } catch (err) {
      if (sub.primed || this.poller === undefined) return
      if (this.status.mode !== 'offline') this.setStatus({ mode: 'offline', stale: true })
      if (sub.shown.data === undefined) sub.show({ data: undefined, error: err instanceof Error ? err.message : String(err) })
    } finally {
      sub.polling = false
    }
  }
}

const nothing: Shown<ViewName> = { data: undefined, error: undefined }

function keyOf(view: ViewName, filter: Filter): string {
  return view + JSON.stringify(Object.entries(filter).sort())
}
