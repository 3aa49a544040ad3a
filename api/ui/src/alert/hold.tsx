import { Slider } from '@mantine/core'
import { secondsOfDuration } from './draft'

const holds = [0, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600]
const holdTexts = ['', '10s', '15s', '30s', '1m', '2m', '3m', '5m', '10m', '15m', '30m', '1h']

/** `for` as a slider: what it says is written into the field, and the backtest follows. */
export function HoldSlider({ value, onChange }: { value: string; onChange: (text: string) => void }) {
  const hold = secondsOfDuration(value) ?? 0
  return (
    <div className="slider">
      <span>
        For <b>{value || '0s'}</b>
      </span>
      <Slider
        thumbLabel="For, slider"
        label={null}
        size="sm"
        min={0}
        max={holds.length - 1}
        step={1}
        value={holds.findLastIndex((h) => h <= hold)}
        onChange={(v) => onChange(holdTexts[v] ?? '')}
      />
    </div>
  )
}
