import { useCallback, useEffect, useState } from 'react'

/** Copies text. Pages that are not served over HTTPS have no clipboard: there the browser's older command does it. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const area = document.createElement('textarea')
    area.value = text
    area.style.position = 'fixed'
    area.style.opacity = '0'
    document.body.append(area)
    area.select()
    const done = document.execCommand('copy')
    area.remove()
    return done
  }
}

/** What was copied last, for two seconds. */
export function useCopy(): [string | undefined, (text: string) => void] {
  const [copied, setCopied] = useState<string>()
  useEffect(() => {
    if (copied === undefined) return
    const timer = setTimeout(() => setCopied(undefined), 2_000)
    return () => clearTimeout(timer)
  }, [copied])
  const copy = useCallback((text: string) => void copyText(text).then((done) => done && setCopied(text)), [])
  return [copied, copy]
}
