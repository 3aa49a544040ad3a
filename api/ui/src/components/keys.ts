import { useEffect } from 'react'
import { useLocation } from 'wouter'
import { useHref } from '../lib/url'
import { places } from '../shell/nav'

const sequence = 1_500

/** / search, g and a letter go to a page, j/k rows, space pause, ? help, Escape out of a field. */
export function useKeys(actions: { help: () => void; pause: () => void }): void {
  const [, navigate] = useLocation()
  const href = useHref()
  useEffect(() => {
    let g = 0
    const onKey = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return
      const target = e.target as HTMLElement
      if (target.closest('input, textarea, select, [contenteditable], [role=dialog]')) {
        if (!target.matches('[data-filter]')) return
        if (e.key === 'Escape') {
          e.preventDefault() // a search field would be emptied
          target.blur()
        } else if (e.key === 'Enter' && target.closest('form') === null) {
          e.preventDefault()
          step(1)
        }
        return
      }
      const place = places[e.key]
      if (place !== undefined && e.timeStamp - g < sequence) {
        g = 0
        e.preventDefault()
        navigate(href(place))
        return
      }
      g = e.key === 'g' ? e.timeStamp : 0
      switch (e.key) {
        case '/': {
          const field = document.querySelector<HTMLInputElement>('[data-filter]')
          if (field === null) return
          field.focus()
          field.select()
          break
        }
        case 'j':
          step(1)
          break
        case 'k':
          step(-1)
          break
        case ' ':
          if (target !== document.body) return
          actions.pause()
          break
        case '?':
          actions.help()
          break
        default:
          return
      }
      e.preventDefault()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [navigate, href, actions])
}

/** Moves the focus along the links of the page's rows. */
function step(by: 1 | -1): void {
  const links = [...document.querySelectorAll<HTMLElement>('main [data-row] [data-row-link]')]
  if (links.length === 0) return
  const at = links.indexOf(document.activeElement as HTMLElement)
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by))
  links[next]?.focus()
  links[next]?.scrollIntoView({ block: 'nearest' })
}
