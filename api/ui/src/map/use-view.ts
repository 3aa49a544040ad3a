import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { type Frame, type Size, seen, textZoom, type View, zoomed } from './view'

const coarse = 200 // pixels of the plane: boxes come and go in steps of this

/** The part that is seen, with a border, in steps: so that moving the plane seldom draws it again. */
function drawnFrame(v: View, s: Size): Frame {
  const f = seen(v, s)
  const [low, high] = [(n: number) => (Math.floor(n / coarse) - 1) * coarse, (n: number) => (Math.ceil(n / coarse) + 1) * coarse]
  return { left: low(f.left), top: low(f.top), right: high(f.right), bottom: high(f.bottom) }
}

export interface PlaneView {
  host: RefObject<HTMLElement | null>
  plane: RefObject<HTMLDivElement | null>
  get: () => View
  size: () => Size
  set: (v: View) => void
}

interface Seen {
  view: PlaneView
  /** What is to be drawn. */
  frame: Frame
  /** Too small for text. */
  bare: boolean
}

/** A plane that is dragged, pinched, and zoomed by Ctrl and the wheel. Moving it changes its transform only. */
export function useView(): Seen {
  const host = useRef<HTMLElement | null>(null)
  const plane = useRef<HTMLDivElement | null>(null)
  const view = useRef<View>({ x: 0, y: 0, k: 1 })
  const [frame, setFrame] = useState<Frame>({ left: 0, top: 0, right: 0, bottom: 0 })
  const [bare, setBare] = useState(false)
  const size = useCallback((): Size => ({ width: host.current?.clientWidth ?? 0, height: host.current?.clientHeight ?? 0 }), [])
  const get = useCallback(() => view.current, [])
  const set = useCallback(
    (v: View) => {
      view.current = v
      if (plane.current) plane.current.style.transform = `translate(${v.x}px, ${v.y}px) scale(${v.k})`
      setBare(v.k < textZoom - 0.001)
      const next = drawnFrame(v, size())
      setFrame((old) => (JSON.stringify(old) === JSON.stringify(next) ? old : next))
    },
    [size],
  )
  useEffect(() => {
    const el = host.current
    if (el === null) return
    const observer = new ResizeObserver(() => set(view.current))
    observer.observe(el)
    const stop = listen(el, get, set)
    return () => {
      observer.disconnect()
      stop()
    }
  }, [get, set])
  return { view: useMemo(() => ({ host, plane, get, size, set }), [get, size, set]), frame, bare }
}

const moved = 4 // pixels, from which a press is no click

function listen(el: HTMLElement, get: () => View, set: (v: View) => void): () => void {
  const down = new Map<number, { x: number; y: number }>()
  let dragged = 0
  const place = (e: MouseEvent) => {
    const box = el.getBoundingClientRect()
    return { x: e.clientX - box.left, y: e.clientY - box.top }
  }
  const onDown = (e: PointerEvent) => {
    if (e.button !== 0 || (e.target as Element).closest('.map-controls')) return
    if (down.size === 0) dragged = 0
    down.set(e.pointerId, place(e))
  }
  const onMove = (e: PointerEvent) => {
    const before = down.get(e.pointerId)
    if (before === undefined) return
    const now = place(e)
    const others = [...down].filter(([id]) => id !== e.pointerId)
    dragged += Math.abs(now.x - before.x) + Math.abs(now.y - before.y)
    if (dragged > moved && !el.hasPointerCapture(e.pointerId)) el.setPointerCapture(e.pointerId)
    const v = get()
    const other = others[0]?.[1]
    if (other) {
      const far = (p: { x: number; y: number }) => Math.max(1, Math.hypot(p.x - other.x, p.y - other.y))
      set(zoomed(v, far(now) / far(before), other.x, other.y))
    } else {
      set({ ...v, x: v.x + now.x - before.x, y: v.y + now.y - before.y })
    }
    down.set(e.pointerId, now)
  }
  const onUp = (e: PointerEvent) => void down.delete(e.pointerId)
  const onClick = (e: MouseEvent) => {
    if (dragged <= moved) return
    e.stopPropagation()
    e.preventDefault()
    dragged = 0
  }
  const onWheel = (e: WheelEvent) => {
    if (!e.ctrlKey && !e.metaKey) return // the page scrolls
    e.preventDefault()
    const p = place(e)
    set(zoomed(get(), Math.exp(-e.deltaY / 300), p.x, p.y))
  }
  const onScroll = () => el.scrollTo(0, 0) // a box that gets the focus is brought into view by moving the plane
  el.addEventListener('pointerdown', onDown)
  el.addEventListener('pointermove', onMove)
  el.addEventListener('pointerup', onUp)
  el.addEventListener('pointercancel', onUp)
  el.addEventListener('click', onClick, true)
  el.addEventListener('wheel', onWheel, { passive: false })
  el.addEventListener('scroll', onScroll)
  return () => {
    el.removeEventListener('pointerdown', onDown)
    el.removeEventListener('pointermove', onMove)
    el.removeEventListener('pointerup', onUp)
    el.removeEventListener('pointercancel', onUp)
    el.removeEventListener('click', onClick, true)
    el.removeEventListener('wheel', onWheel)
    el.removeEventListener('scroll', onScroll)
  }
}
