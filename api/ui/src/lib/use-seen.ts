import { type RefObject, useEffect, useRef, useState } from 'react'

/** Whether an element is on the screen, or nearly. Panels that are not seen ask nothing. */
export function useSeen(ref: RefObject<HTMLElement | null>, margin = '300px'): boolean {
  const [seen, setSeen] = useState(false)
  useEffect(() => {
    if (ref.current === null) return
    const observer = new IntersectionObserver((list) => setSeen(list.at(-1)?.isIntersecting ?? false), { rootMargin: margin })
    observer.observe(ref.current)
    return () => observer.disconnect()
  }, [ref, margin])
  return seen
}

/** A list that changes live, as it was when it was last seen: what is not on the screen is not drawn again for new numbers, only for other items. */
export function useHeld<T>(list: readonly T[], seen: boolean, keyOf: (item: T) => string): readonly T[] {
  const kept = useRef(list)
  const held = kept.current
  const same = held === list || (held.length === list.length && held.every((item, i) => keyOf(item) === keyOf(list[i] as T)))
  if (seen || !same) kept.current = list
  return kept.current
}
