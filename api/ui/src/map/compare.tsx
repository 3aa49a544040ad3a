import { Pick } from '../components/form'
import { RangeText } from '../components/range-text'
import { duration, secondOf } from '../lib/format'
import { absoluteRange, type Range, rangeSeconds, shifted } from '../lib/range'
import { rangeWords } from '../lib/range-words'
import { type Comparison, comparisons, earlierBy, ownRange } from './difference'

interface Props {
  range: Range
  /** One of the comparisons, or a range; empty for none. */
  compare: string
  pin: number | undefined
  onCompare: (compare: string) => void
}

function wordsFor(range: Range): Record<Comparison, string> {
  const length = duration(rangeSeconds(range) * 1000)
  return { before: `the ${length} before`, hour: `the same ${length} an hour before`, day: `the same ${length} a day before` }
}

/** What the map is compared with, in words. */
export function comparedWords(range: Range, compare: string, pin: number | undefined): string {
  if (pin !== undefined) return `the pinned moment ${secondOf(pin * 1000)}`
  const own = ownRange(compare)
  return own ? rangeWords(own) : wordsFor(range)[compare as Comparison]
}

/** Chooses what the map is compared with. */
export function CompareWith({ range, compare, pin, onCompare }: Props) {
  const own = pin === undefined ? ownRange(compare) : undefined
  const words = wordsFor(range)
  const fits = comparisons.filter((c) => earlierBy(c, range) > 0 && (c === 'before' || earlierBy(c, range) !== earlierBy('before', range)))
  return (
    <div className="compare">
      <span aria-hidden="true">Compare with</span>
      <Pick
        label="Compare with"
        hidden
        value={pin !== undefined ? 'pin' : own ? 'own' : fits.includes(compare as Comparison) ? compare : ''}
        onChange={(v) => v !== 'pin' && onCompare(v === 'own' ? absoluteRange(shifted(range, -1)) : v)}
        options={[
          ['', 'nothing'],
          ...(pin === undefined ? [] : ([['pin', `the pinned moment ${secondOf(pin * 1000)}`]] as [string, string][])),
          ...fits.map((c): [string, string] => [c, words[c]]),
          ['own', 'another time range'],
        ]}
      />
      {own && <RangeText label="Time range to compare with" range={own} onRange={(r) => onCompare(absoluteRange(r))} />}
    </div>
  )
}
