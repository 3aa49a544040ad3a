import { Suspense, useEffect, useState } from 'react'
import { lazyPage } from '../lib/lazy'

const Palette = lazyPage(() => import('../palette/palette'))

const apple = /mac|iphone|ipad/i.test(navigator.platform)

/** The keys that open it. Ctrl+K deletes to the end of the line in text fields of Apple's systems. */
export const paletteKeys = apple ? ['⌘', 'K'] : ['Ctrl', 'K']

/** Whether the palette is open. Its keys open and close it; in a text field too, unless the field has used them. */
export function usePalette(): [boolean, (open: boolean) => void] {
  const [open, setOpen] = useState(false)
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key.toLowerCase() !== 'k' || e.shiftKey || e.altKey || e.defaultPrevented) return
      if (apple ? !e.metaKey || e.ctrlKey : !e.ctrlKey || e.metaKey) return
      e.preventDefault() // browsers go to their own search
      if (open) setOpen(false)
      else if (document.querySelector('[aria-modal=true]') === null) setOpen(true) // another dialog may hold what is not saved
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [open])
  return [open, setOpen]
}

/** Loaded when it is first opened, or once the browser is idle. */
export function PaletteDialog({ onClose }: { onClose: () => void }) {
  return (
    <Suspense>
      <Palette onClose={onClose} />
    </Suspense>
  )
}
