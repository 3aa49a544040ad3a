import { Button, TextInput } from '@mantine/core'
import { useState } from 'react'
import { serverNow } from '../lib/clock'
import { moment } from '../lib/format'
import { endsNow, lengthText, type Range, rangeEnd, rangeSeconds, rangeStart } from '../lib/range'
import { rangeOfText } from '../lib/when'
import { useZone } from '../lib/zone'
import { Wrong } from './text'

interface Props {
  label: string
  range: Range
  onRange: (r: Range) => void
}

/** The range as text that is understood again. */
function typed(r: Range): string {
  if (endsNow(r)) return lengthText(rangeSeconds(r))
  return `${moment(rangeStart(r) * 1000)} to ${moment(rangeEnd(r) * 1000)}`
}

/** A time range that is typed. */
export function RangeText({ label, range, onRange }: Props) {
  const zone = useZone()
  const [text, setText] = useState(() => typed(range))
  const [wrong, setWrong] = useState(false)
  return (
    <form
      className="range-text"
      onSubmit={(e) => {
        e.preventDefault()
        const next = rangeOfText(text, serverNow(), zone)
        setWrong(next === undefined)
        if (next !== undefined) onRange(next)
      }}
    >
      <TextInput
        aria-label={label}
        value={text}
        placeholder="90m, yesterday 3am"
        spellCheck={false}
        autoComplete="off"
        onChange={(e) => setText(e.currentTarget.value)}
        error={wrong && <Wrong text="Not understood. Examples: 90m, yesterday 3am, 2026-11-29 01:10 to 02:00" />}
      />
      <Button type="submit">Apply</Button>
    </form>
  )
}
