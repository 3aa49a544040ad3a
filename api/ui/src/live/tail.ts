import type { LogLine } from '../api/types'

export interface Line {
  key: string
  line: LogLine
}

/** lost: the browser opens it again by itself; refused: the server said no, it is tried again after a while. */
export type TailState = 'connecting' | 'live' | 'lost' | 'refused'

export interface Tailed {
  lines: readonly Line[] // newest first
  state: TailState
  dropped: number // came faster than the server sends them
  held: number // came while paused and are not shown
}

/** The part of EventSource that is used. */
export interface Source {
  readonly readyState: number
  onopen: ((e: Event) => void) | null
  onerror: ((e: Event) => void) | null
  addEventListener(name: string, listener: (e: MessageEvent<string>) => void): void
  close(): void
}

/** How many lines a tail keeps at most. */
export const keep = 5_000
const showEvery = 250
const again = 5_000
const closed = 2

/** Log lines as they come. They are shown a few times a second at most; the oldest go when there are too many. */
export class Tail {
  private shown: Tailed = { lines: [], state: 'connecting', dropped: 0, held: 0 }
  private waiting: Line[] = [] // newest first
  private missed = 0
  private serial = 0
  private paused = false
  private mixed = false // lines of before are waiting that belong among those that are shown
  private earlier = 0 // lines of before that are still to come
  private readonly ids = new Set<string>()
  private timer: ReturnType<typeof setTimeout> | undefined
  private retry: ReturnType<typeof setTimeout> | undefined
  private source: Source | undefined
  private readonly listeners = new Set<() => void>()

  /** Kept are lines of an earlier tail, newest first, that this one would have had too. */
  constructor(
    private readonly url: string,
    kept: readonly Line[] = [],
    private readonly open: (url: string) => Source = (u) => new EventSource(u),
  ) {
    this.shown = { ...this.shown, lines: kept }
    for (const l of kept) if (l.line.id) this.ids.add(l.line.id)
  }

  readonly get = (): Tailed => this.shown

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    if (this.listeners.size === 1) this.start()
    return () => {
      this.listeners.delete(listener)
      if (this.listeners.size === 0) this.stop()
    }
  }

  setPaused(paused: boolean): void {
    if (paused === this.paused) return
    this.paused = paused
    if (!paused) this.show()
  }

  private start(): void {
    const s = this.open(this.url)
    this.source = s
    s.onopen = () => this.change({ state: 'live' })
    s.onerror = () => {
      if (s.readyState !== closed) {
        this.change({ state: 'lost' })
        return
      }
      this.change({ state: 'refused' })
      clearTimeout(this.retry)
      this.retry = setTimeout(() => {
        s.close()
        if (this.listeners.size > 0) this.start()
      }, again)
    }
    s.addEventListener('line', (e) => this.take(e.data))
    s.addEventListener('last', (e) => {
      const n = (parse(e.data) as { last?: unknown } | undefined)?.last
      if (typeof n === 'number') this.earlier = n
    })
    s.addEventListener('dropped', (e) => {
      const n = (parse(e.data) as { dropped?: unknown } | undefined)?.dropped
      if (typeof n === 'number') this.missed += n
      this.later()
    })
  }

  private stop(): void {
    this.source?.close()
    this.source = undefined
    clearTimeout(this.timer)
    clearTimeout(this.retry)
    this.timer = undefined
  }

  private take(data: string): void {
    const line = parse(data) as LogLine | undefined
    if (line === undefined) return
    const earlier = this.earlier > 0
    if (earlier) this.earlier--
    const known = Boolean(line.id) && this.ids.has(line.id)
    if (!known) {
      if (line.id) this.ids.add(line.id)
      this.waiting.unshift({ key: line.id ? `i${line.id}` : `t${this.serial++}`, line })
      if (earlier && this.shown.lines.length > 0) this.mixed = true
      this.cut()
    }
    this.later()
  }

  /** The oldest go. */
  private cut(): void {
    for (const l of this.waiting.splice(keep)) this.ids.delete(l.line.id)
  }

  private later(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined
      this.show()
    }, showEvery)
  }

  private show(): void {
    if (this.paused) {
      if (this.waiting.length !== this.shown.held) this.change({ held: this.waiting.length })
      return
    }
    let lines = this.shown.lines
    if (this.waiting.length > 0) {
      const all = [...this.waiting, ...lines]
      if (this.mixed) all.sort((a, b) => Date.parse(b.line.time) - Date.parse(a.line.time))
      for (const l of all.splice(keep)) this.ids.delete(l.line.id)
      lines = all
    }
    this.waiting = []
    this.mixed = false
    this.change({ lines, held: 0, dropped: this.shown.dropped + this.missed })
    this.missed = 0
  }

  private change(part: Partial<Tailed>): void {
    this.shown = { ...this.shown, ...part }
    for (const l of this.listeners) l()
  }
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}
