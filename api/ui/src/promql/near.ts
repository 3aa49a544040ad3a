/** The number of letters to change, add, remove or swap with their neighbour; more than `most` is `most + 1`. */
export function distance(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    let least = i
    for (let j = 1; j <= b.length; j++) {
      const change = (last[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let d = Math.min(change, (last[j] as number) + 1, (row[j - 1] as number) + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) d = Math.min(d, (before[j - 2] as number) + 1)
      row.push(d)
      least = Math.min(least, d)
    }
    if (least > most) return most + 1
    ;[before, last] = [last, row]
  }
  return Math.min(most + 1, last[b.length] as number)
}

const words = (name: string) =>
  name
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean)

/** How alike two names are, from 0 to 1: few wrong letters, or the same words. */
function likeness(a: string, b: string): number {
  const most = Math.max(2, Math.floor(Math.max(a.length, b.length) / 4))
  const d = distance(a.toLowerCase(), b.toLowerCase(), most)
  const letters = d > most ? 0 : 1 - d / Math.max(a.length, b.length)
  const [x, y] = [new Set(words(a)), new Set(words(b))]
  const both = [...x].filter((w) => y.has(w)).length
  return Math.max(letters, both === 0 ? 0 : both / (x.size + y.size - both))
}

/** The names most like one that does not exist, the most alike first. */
export function nearNames(name: string, names: readonly string[], n = 4): string[] {
  return names
    .map((one) => ({ one, at: likeness(name, one) }))
    .filter((c) => c.at >= 0.4)
    .sort((a, b) => b.at - a.at || a.one.length - b.one.length || (a.one < b.one ? -1 : 1))
    .slice(0, n)
    .map((c) => c.one)
}
