// Ages are relative to the server's clock: browsers' clocks are wrong by minutes more often than one would think.

let offset = 0

/** Takes the Date header of an answer. It has whole seconds, so differences below 2 s mean nothing. */
export function syncClock(date: string | null): void {
  if (!date) return
  const server = Date.parse(date)
  if (Number.isNaN(server)) return
  const d = server + 500 - Date.now()
  offset = Math.abs(d) < 2000 ? 0 : d
}

export function serverNow(): number {
  return Date.now() + offset
}

type Listener = () => void
const listeners = new Set<Listener>()
let timer: ReturnType<typeof setInterval> | undefined
let current = serverNow()

/** One ticker for all relative times of the page. */
export function onTick(listener: Listener): () => void {
  listeners.add(listener)
  timer ??= setInterval(() => {
    if (globalThis.document?.hidden) return
    current = serverNow()
    for (const l of listeners) l()
  }, 1000)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0 && timer !== undefined) {
      clearInterval(timer)
      timer = undefined
    }
  }
}

export function tickNow(): number {
  if (timer === undefined) current = serverNow()
  return current
}
