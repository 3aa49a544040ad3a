import { useComputedColorScheme } from '@mantine/core'
import { type RefObject, useEffect, useRef, useState } from 'react'

export interface Ink {
  context: CanvasRenderingContext2D
  width: number
  height: number
  /** A colour of the page: `var(--x)` as what it stands for. */
  color: (css: string) => string
}

/** A canvas as wide as its box, drawn again when its size, the colour scheme or `draw` change. */
export function useCanvas(draw: (ink: Ink) => void, height: number): { ref: RefObject<HTMLCanvasElement | null>; width: number } {
  const ref = useRef<HTMLCanvasElement>(null)
  const [width, setWidth] = useState(0)
  const scheme = useComputedColorScheme('light')
  useEffect(() => {
    const canvas = ref.current
    if (canvas === null) return
    const observer = new ResizeObserver(() => setWidth(canvas.clientWidth))
    observer.observe(canvas)
    setWidth(canvas.clientWidth)
    return () => observer.disconnect()
  }, [])
  // biome-ignore lint/correctness/useExhaustiveDependencies: the scheme decides what the colours are
  useEffect(() => {
    const canvas = ref.current
    const context = canvas?.getContext('2d')
    if (!canvas || !context || width === 0) return
    const ratio = window.devicePixelRatio || 1
    canvas.width = Math.round(width * ratio)
    canvas.height = Math.round(height * ratio)
    context.scale(ratio, ratio)
    const style = getComputedStyle(canvas)
    const known = new Map<string, string>()
    const color = (css: string) => {
      let c = known.get(css)
      if (c === undefined) {
        const name = /^var\((--[\w-]+)\)$/.exec(css)?.[1]
        c = name === undefined ? css : style.getPropertyValue(name).trim()
        known.set(css, c)
      }
      return c
    }
    draw({ context, width, height, color })
  }, [draw, width, height, scheme])
  return { ref, width }
}
