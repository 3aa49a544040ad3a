import { type RefObject, useEffect, useState } from 'react'

/** Whether an element is on the screen, or nearly. Panels that are not seen ask nothing. */
export function useSeen(ref: RefObject<HTMLElement | null>): boolean {
  const [seen, setSeen] = useState(false)
  useEffect(() => {
    if (ref.current === null) return
    const observer = new IntersectionObserver((list) => setSeen(list.at(-1)?.isIntersecting ?? false), { rootMargin: '300px' })
    observer.observe(ref.current)
    return () => observer.disconnect()
  }, [ref])
  return seen
}
