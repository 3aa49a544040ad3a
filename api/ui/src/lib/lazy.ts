import { type ComponentType, type LazyExoticComponent, lazy } from 'react'

type Load<P> = () => Promise<{ default: ComponentType<P> }>

export interface Hooks {
  wait: (ms: number) => Promise<void>
  /** Whether the server answers at all. */
  answers: () => Promise<boolean>
  reload: () => void
  /** When the page was last reloaded for this reason, in ms; 0: never. */
  reloaded: () => number
  now: () => number
}

const mark = 'watchingcat-reloaded'
const pauses = [300, 1_000, 2_000]
const pollEvery = 2_000
const again = 60_000

const browser: Hooks = {
  wait: (ms) => new Promise((r) => setTimeout(r, ms)),
  answers: async () => {
    try {
      return (await fetch('/health', { cache: 'no-store' })).status > 0
    } catch {
      return false
    }
  },
  reload: () => {
    try {
      sessionStorage.setItem(mark, String(Date.now()))
    } catch {
      // without a mark it must not reload again and again
      return
    }
    window.location.reload()
  },
  reloaded: () => {
    try {
      return Number(sessionStorage.getItem(mark) ?? 0)
    } catch {
      return Date.now()
    }
  },
  now: () => Date.now(),
}

/**
 * Loads a part of the page, whatever happens meanwhile. It is retried; while the server does not answer it waits for it. Where the
 * server answers and the part is still not there, its name has changed with an upgrade: the page is reloaded, once.
 */
export async function stubborn<T>(load: () => Promise<T>, hooks: Hooks = browser): Promise<T> {
  for (let i = 0; ; i++) {
    try {
      return await load()
    } catch (err) {
      const pause = pauses[i]
      if (pause !== undefined) {
        await hooks.wait(pause)
        continue
      }
      while (!(await hooks.answers())) await hooks.wait(pollEvery)
      try {
        return await load() // it may have come back this moment
      } catch {
        // it is gone
      }
      if (hooks.now() - hooks.reloaded() < again) throw err
      hooks.reload()
      await hooks.wait(10_000) // the page is on its way out
      throw err
    }
  }
}

const all: (() => Promise<unknown>)[] = []

/** A page that is loaded when it is first shown, or when the browser has nothing else to do. */
export function lazyPage<P>(load: Load<P>): LazyExoticComponent<ComponentType<P>> {
  all.push(load)
  return lazy(() => stubborn(load))
}

/** Loads the other pages one after the other while the browser is idle. What fails is loaded when it is needed. */
export function prefetchPages(): () => void {
  const saving = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData === true
  const rest = saving ? [] : [...all]
  let stopped = false
  const idle = (f: () => void) => (window.requestIdleCallback ? window.requestIdleCallback(f, { timeout: 5_000 }) : setTimeout(f, 500))
  const next = () => {
    const load = rest.shift()
    if (load === undefined || stopped) return
    load()
      .catch(() => {})
      .finally(() => idle(next))
  }
  const timer = setTimeout(() => idle(next), 2_000)
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}
