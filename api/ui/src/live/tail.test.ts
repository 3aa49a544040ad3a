import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { LogLine } from '../api/types'
import { keep, type Line, type Source, Tail } from './tail'

class FakeSource implements Source {
  readyState = 0
  onopen: ((e: Event) => void) | null = null
  onerror: ((e: Event) => void) | null = null
  private readonly on = new Map<string, (e: MessageEvent<string>) => void>()
  addEventListener(name: string, listener: (e: MessageEvent<string>) => void) {
    this.on.set(name, listener)
  }
  close() {
    this.readyState = 2
  }
  say(name: string, data: string) {
    this.on.get(name)?.({ data } as MessageEvent<string>)
  }
  fail(readyState: number) {
    this.readyState = readyState
    this.onerror?.(new Event('error'))
  }
}

let sources: FakeSource[]
const newTail = (kept: Line[] = []) => {
  const tail = new Tail('/tail', kept, () => {
    const s = new FakeSource()
    sources.push(s)
    return s
  })
  const heard = vi.fn()
  const end = tail.subscribe(heard)
  return { tail, heard, end, source: sources[0] as FakeSource }
}
const line = (body: string): string => JSON.stringify({ body } as Partial<LogLine>)
const bodies = (t: Tail) => t.get().lines.map((l) => l.line.body)

beforeEach(() => {
  vi.useFakeTimers()
  sources = []
})
afterEach(() => vi.useRealTimers())

test('lines are shown newest first, a few times a second', () => {
  const { tail, heard, source } = newTail()
  source.onopen?.(new Event('open'))
  expect(tail.get().state).toBe('live')
  heard.mockReset()
  for (const b of ['a', 'b', 'c']) source.say('line', line(b))
  expect(bodies(tail)).toEqual([])
  vi.advanceTimersByTime(250)
  expect(bodies(tail)).toEqual(['c', 'b', 'a'])
  expect(heard).toHaveBeenCalledTimes(1)
  source.say('line', line('d'))
  vi.advanceTimersByTime(250)
  expect(bodies(tail)).toEqual(['d', 'c', 'b', 'a'])
  expect(new Set(tail.get().lines.map((l) => l.key)).size).toBe(4)
})

test('the oldest go, what was dropped is told, what is no JSON is passed over', () => {
  const { tail, source } = newTail()
  for (let i = 0; i < keep + 100; i++) source.say('line', line(String(i)))
  source.say('dropped', '{"dropped": 7}')
  source.say('line', '{')
  source.say('dropped', 'x')
  vi.advanceTimersByTime(250)
  expect(tail.get().lines.length).toBe(keep)
  expect(bodies(tail)[0]).toBe(String(keep + 99))
  expect(tail.get().dropped).toBe(7)
})

test('paused, lines are held and counted; then they are shown', () => {
  const { tail, source } = newTail()
  tail.setPaused(true)
  source.say('line', line('a'))
  source.say('line', line('b'))
  vi.advanceTimersByTime(250)
  expect(bodies(tail)).toEqual([])
  expect(tail.get().held).toBe(2)
  tail.setPaused(false)
  expect(bodies(tail)).toEqual(['b', 'a'])
  expect(tail.get().held).toBe(0)
})

test('a lost connection is left to the browser, a refused one is tried again', () => {
  const { tail, source, end } = newTail()
  source.fail(0)
  expect(tail.get().state).toBe('lost')
  vi.advanceTimersByTime(10_000)
  expect(sources.length).toBe(1)
  source.fail(2)
  expect(tail.get().state).toBe('refused')
  vi.advanceTimersByTime(5_000)
  expect(sources.length).toBe(2)
  end()
  expect(sources[1]?.readyState).toBe(2)
})

test('nobody listens: the connection is closed and not opened again', () => {
  const { source, end } = newTail()
  source.fail(2)
  end()
  vi.advanceTimersByTime(60_000)
  expect(sources.length).toBe(1)
})

const at = (second: number, id: string): LogLine => ({ id, time: new Date(second * 1000).toISOString(), body: id }) as LogLine

test('lines that were kept stand among those of before, each once, and new ones above', () => {
  const { tail, source } = newTail([4, 2].map((s) => ({ key: `i${s}`, line: at(s, String(s)) })))
  expect(bodies(tail)).toEqual(['4', '2'])
  source.say('last', '{"last": 3}')
  for (const s of [1, 2, 3]) source.say('line', JSON.stringify(at(s, String(s))))
  source.say('line', JSON.stringify(at(0, 'late')))
  vi.advanceTimersByTime(250)
  expect(bodies(tail)).toEqual(['4', '3', '2', '1', 'late'])
  source.say('line', JSON.stringify(at(2, 'later')))
  vi.advanceTimersByTime(250)
  expect(bodies(tail)[0]).toBe('later')
})
