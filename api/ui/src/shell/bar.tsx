import { ActionIcon, Select, Tooltip, useMantineColorScheme } from '@mantine/core'
import { CircleHelp, Moon, Search, Sun, SunMoon } from 'lucide-react'
import { useDimensionList } from '../api/queries'
import { paramOf, useDimensions } from '../lib/dimensions'
import { useParam } from '../lib/url'
import { Fresh } from './fresh'
import { paletteKeys } from './palette'
import { Brand } from './side'
import { TimePicker } from './time'
import './time.css'

export function Bar({ onHelp, onPalette }: { onHelp: () => void; onPalette: () => void }) {
  return (
    <header className="bar">
      <Brand />
      <DimensionSwitches />
      <Fresh />
      <TimePicker />
      <Tooltip label={`Go to (${paletteKeys.join('+')})`}>
        <ActionIcon variant="subtle" color="gray" size="md" aria-label="Go to a service, page or trace" onClick={onPalette}>
          <Search size={16} aria-hidden="true" />
        </ActionIcon>
      </Tooltip>
      <SchemeButton />
      <Tooltip label="Keyboard (?)">
        <ActionIcon className="help" variant="subtle" color="gray" size="md" aria-label="Keyboard help" onClick={onHelp}>
          <CircleHelp size={16} aria-hidden="true" />
        </ActionIcon>
      </Tooltip>
    </header>
  )
}

/** For each dimension with several values, the one that the page is narrowed to. */
function DimensionSwitches() {
  const list = useDimensionList().data?.dimensions ?? []
  const chosen = useDimensions()
  return list
    .filter((d) => d.values.length > 1 || chosen[d.name] !== undefined)
    .map((d) => <DimensionSwitch key={d.name} name={d.name} values={d.values} />)
}

function DimensionSwitch({ name, values }: { name: string; values: string[] }) {
  const [value, set] = useParam(paramOf(name))
  const known = value === '' || values.includes(value) ? values : [value, ...values]
  const any = `any ${name.replace(/^(deployment|service)\./, '').replace(/\.name$/, '')}`
  return (
    <Select
      className="dimension"
      size="xs"
      aria-label={name}
      title={name}
      value={value}
      onChange={(v) => set(v ?? '', false)}
      data={[{ value: '', label: any }, ...known.map((v) => ({ value: v, label: v }))]}
      searchable={known.length > 12}
      allowDeselect={false}
    />
  )
}

const schemes = ['auto', 'light', 'dark'] as const
const schemeIcon = { auto: SunMoon, light: Sun, dark: Moon }

function SchemeButton() {
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true })
  const next = schemes[(schemes.indexOf(colorScheme) + 1) % schemes.length] ?? 'auto'
  const Icon = schemeIcon[colorScheme]
  return (
    <Tooltip label={`Colours: ${colorScheme}`}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="md"
        aria-label={`Colours: ${colorScheme}. Change to ${next}`}
        onClick={() => setColorScheme(next)}
      >
        <Icon size={16} aria-hidden="true" />
      </ActionIcon>
    </Tooltip>
  )
}
