import { useRef } from 'react'

const holdsFor = 10_000 // ms after the pointer moved

/** Whether the order of rows must stay: while one of them has the focus, and shortly after the pointer moved over them. */
export function useHold() {
  const state = useRef({ moved: Number.NEGATIVE_INFINITY, focused: false }).current
  return useRef({
    held: (now: number): boolean => state.focused || now - state.moved < holdsFor,
    handlers: {
      onPointerMove: () => {
        state.moved = Date.now()
      },
      onPointerLeave: () => {
        state.moved = Number.NEGATIVE_INFINITY
      },
      onFocus: () => {
        state.focused = true
      },
      onBlur: () => {
        state.focused = false
      },
    },
  }).current
}
