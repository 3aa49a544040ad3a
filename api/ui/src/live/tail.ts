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

const keep = 500
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
  private timer: ReturnType<typeof setTimeout> | undefined
  private retry: ReturnType<typeof setTimeout> | undefined
  private source: Source | undefined
  private readonly listeners = new Set<() => void>()

  constructor(
    private readonly url: string,
    private readonly open: (url: string) => Source = (u) => new EventSource(u),
  ) {}

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
    this.waiting.unshift({ key: `t${this.serial++}`, line })
    if (this.waiting.length > keep) this.waiting.length = keep
    this.later()
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
    const lines = this.waiting.length === 0 ? this.shown.lines : [...this.waiting, ...this.shown.lines].slice(0, keep)
    this.waiting = []
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
