/** Calls at full multiples of so many ms: what several views bring is then drawn together. */
export function seldom(listener: () => void, every: number): { call: () => void; stop: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined
  let quiet = true // nothing was shown yet
  const run = () => {
    timer = undefined
    listener()
  }
  return {
    call: () => {
      if (quiet) listener()
      else timer ??= setTimeout(run, every - (Date.now() % every))
      quiet = false
    },
    stop: () => clearTimeout(timer),
  }
}
