import { useEffect, useState } from 'react'

interface Props {
  word: string
  sure: string
  disabled: boolean
  /** Why one may not. */
  denied?: string | undefined
  onSure: () => void
}

/** A button that asks once more before it acts; it forgets the question after a while. */
export function Sure({ word, sure, disabled, denied, onSure }: Props) {
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
      disabled={disabled || denied !== undefined}
      title={denied}
      onClick={() => {
        if (asked) onSure()
        setAsked(!asked)
      }}
    >
      {asked ? sure : word}
    </button>
  )
}
