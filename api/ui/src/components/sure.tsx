import { useEffect, useState } from 'react'

/** A button that asks once more before it acts; it forgets the question after a while. */
export function Sure({ word, sure, disabled, onSure }: { word: string; sure: string; disabled: boolean; onSure: () => void }) {
  const [asked, setAsked] = useState(false)
  useEffect(() => {
    if (!asked) return
    const t = setTimeout(() => setAsked(false), 5_000)
    return () => clearTimeout(t)
  }, [asked])
  return (
    <button
      type="button"
      className="plain danger"
      disabled={disabled}
      onClick={() => {
        if (asked) onSure()
        setAsked(!asked)
      }}
    >
      {asked ? sure : word}
    </button>
  )
}
