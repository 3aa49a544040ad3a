import { ActionIcon, Button, Popover, SegmentedControl, TextInput } from '@mantine/core'
import { ChevronDown, ChevronLeft, ChevronRight } from 'lucide-react'
import { useEffect, useState } from 'react'
import { RangeText } from '../components/range-text'
import { moment } from '../lib/format'
import { endsNow, quickRanges, type Range, rangeBetween, rangeEnd, rangeStart, shifted } from '../lib/range'
import { rangeWords } from '../lib/range-words'
import { useRange } from '../lib/url'
import { momentOfText } from '../lib/when'
import { setZone, useZone, type Zone } from '../lib/zone'

/** The time range of the page: back and forward by its length, and a choice of ranges. */
export function TimePicker() {
  const [range, setRange] = useRange()
  const [open, setOpen] = useState(false)
  const zone = useZone()
  const choose = (r: Range) => {
    setRange(r)
    setOpen(false)
  }
  return (
    <fieldset className="time">
      <legend className="hidden">Time range</legend>
      <ActionIcon variant="default" size={30} aria-label="Earlier by one range" onClick={() => setRange(shifted(range, -1))}>
        <ChevronLeft size={16} aria-hidden="true" />
      </ActionIcon>
      <Popover opened={open} onChange={setOpen} position="bottom-end" trapFocus transitionProps={{ duration: 0 }} width={468}>
        <Popover.Target>
          <Button
            className="time-button"
            rightSection={<ChevronDown size={14} aria-hidden="true" />}
            aria-expanded={open}
            onClick={() => setOpen(!open)}
          >
            {rangeWords(range)}
            {zone === 'utc' && ' · UTC'}
          </Button>
        </Popover.Target>
        <Popover.Dropdown aria-label="Time range">
          <div className="time-panel">
            <ul className="time-quick" aria-label="Quick ranges">
              {quickRanges.map(([r, words]) => (
                <li key={r}>
                  <button type="button" className="time-one" aria-pressed={r === range} onClick={() => choose(r)}>
                    {words}
                  </button>
                </li>
              ))}
            </ul>
            <div className="time-own">
              <p className="field-label">Typed</p>
              <RangeText key={range} label="Time range as text" range={range} onRange={choose} />
              <FromTo key={`${range} ${zone}`} range={range} zone={zone} onRange={choose} />
              <p className="field-label">Time zone</p>
              <SegmentedControl
                aria-label="Time zone"
                fullWidth
                value={zone}
                onChange={(z) => setZone(z as Zone)}
                data={[
                  { value: 'browser', label: 'Browser' },
                  { value: 'utc', label: 'UTC' },
                ]}
              />
            </div>
          </div>
        </Popover.Dropdown>
      </Popover>
      <ActionIcon
        variant="default"
        size={30}
        aria-label="Later by one range"
        disabled={endsNow(range)}
        onClick={() => setRange(shifted(range, 1))}
      >
        <ChevronRight size={16} aria-hidden="true" />
      </ActionIcon>
    </fieldset>
  )
}

const local = (seconds: number) => moment(seconds * 1000).replace(' ', 'T')

/** Two moments, with the browser's calendar. */
function FromTo({ range, zone, onRange }: { range: Range; zone: Zone; onRange: (r: Range) => void }) {
  const [from, setFrom] = useState('')
  const [to, setTo] = useState('')
  useEffect(() => {
    setFrom(local(rangeStart(range)))
    setTo(local(rangeEnd(range)))
  }, [range])
  const [a, b] = [momentOfText(from, 0, zone), momentOfText(to, 0, zone)]
  const valid = a !== undefined && b !== undefined && b > a
  return (
    <form
      className="time-from-to"
      onSubmit={(e) => {
        e.preventDefault()
        if (valid) onRange(rangeBetween(a / 1000, b / 1000))
      }}
    >
      <TextInput label="From" type="datetime-local" step={1} value={from} onChange={(e) => setFrom(e.currentTarget.value)} />
      <TextInput label="To" type="datetime-local" step={1} value={to} onChange={(e) => setTo(e.currentTarget.value)} />
      <Button type="submit" disabled={!valid} fullWidth>
        Show this range
      </Button>
    </form>
  )
}
