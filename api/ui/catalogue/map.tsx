import { type Health, healthOrder, healthWord } from '../src/lib/health'
import { Box } from '../src/map/box'
import type { BoxState, LineState } from '../src/map/boxes'
import { labelWidth } from '../src/map/labels'
import { Ends, Line } from '../src/map/line'
import '../src/map/map.css'

const nothing = () => {}
const state = (s: Partial<BoxState>): BoxState => ({
  health: undefined,
  type: 'service',
  numbers: ['2.70 /s', '0.20 %', '74 ms'],
  bad: false,
  kind: undefined,
  worse: false,
  title: 'a service',
  ...s,
})

interface Shown {
  name: string
  state: BoxState
  type?: 'service' | 'database' | 'virtual_node' | 'group'
  selected?: boolean
  beside?: boolean
}

const boxes: Shown[] = [
  ...(Object.keys(healthOrder) as Health[]).map((h) => ({
    name: `a ${healthWord[h]} one`,
    state: state({
      health: h,
      bad: h === 'failing',
      numbers: h === 'nodata' ? ['–'] : ['2.70 /s', h === 'failing' ? '44.1 %' : '0.20 %', '74 ms'],
    }),
  })),
  { name: 'orders-db', type: 'database', state: state({ type: 'database' }) },
  { name: 'api.bank.example', type: 'virtual_node', state: state({ type: 'not instrumented' }) },
  {
    name: 'payments',
    type: 'group',
    state: state({ health: 'failing', type: 'namespace', numbers: ['12 services', '2 not ok'], bad: true }),
  },
  { name: 'a-name-that-is-longer-than-the-box', state: state({ health: 'ok' }) },
  { name: 'chosen', state: state({ health: 'ok' }), selected: true },
  { name: 'beside it', state: state({ health: 'ok' }), beside: true },
  { name: 'is new', state: state({ type: 'added', kind: 'added', numbers: ['2.70 /s 0 % 74 ms'] }) },
  { name: 'is gone', state: state({ type: 'gone', kind: 'gone', numbers: ['–'] }) },
  { name: 'has changed', state: state({ type: 'changed', kind: 'changed', numbers: ['rate 2.1 → 4.0 /s'] }) },
  { name: 'is worse', state: state({ type: 'changed', kind: 'changed', worse: true, numbers: ['failed 0.2 → 44.1 %'] }) },
]

const line = (s: Partial<LineState>): LineState => ({
  bad: false,
  idle: false,
  kind: undefined,
  worse: false,
  width: 2,
  mark: '',
  text: '',
  ...s,
})
const lines: [string, LineState, boolean, boolean][] = [
  ['plain', line({}), false, false],
  ['failing', line({ bad: true, width: 4 }), false, false],
  ['idle', line({ idle: true, width: 1 }), false, false],
  ['looked at', line({}), true, false],
  ['beside what is looked at', line({}), false, true],
  ['added', line({ kind: 'added' }), false, false],
  ['gone', line({ kind: 'gone' }), false, false],
  ['changed', line({ kind: 'changed' }), false, false],
]

export function MapBoxes() {
  return (
    <div className="drawing catalogue-plane" style={{ height: 520 }}>
      <div className="map-plane">
        <svg className="map-lines" aria-hidden="true" width="1" height="1">
          <Ends />
          {lines.map(([name, s, near, dimmed], n) => (
            <Line key={name} id={name} d={`M20 ${290 + n * 26}H420`} state={s} near={near} dimmed={dimmed} onOver={nothing} />
          ))}
        </svg>
        {boxes.map((b, n) => (
          <Box
            key={b.name}
            id={b.name}
            name={b.name}
            type={b.type ?? 'service'}
            state={b.state}
            x={16 + (n % 5) * 216}
            y={16 + Math.floor(n / 5) * 62}
            selected={b.selected ?? false}
            beside={b.beside ?? false}
            onChoose={nothing}
            onOver={nothing}
          />
        ))}
        {lines.map(([name, s], n) => (
          <span
            key={name}
            className={s.bad ? 'map-label bad' : 'map-label'}
            style={{ left: 460, top: 281 + n * 26, width: labelWidth(name) }}
          >
            {name}
          </span>
        ))}
      </div>
    </div>
  )
}
