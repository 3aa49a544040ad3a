import '../src/styles/index.css'
import '../src/shell/shell.css'
import './catalogue.css'
import './still' // before anything reads the clock
import { MantineProvider, useMantineColorScheme } from '@mantine/core'
import { QueryClient, QueryClientProvider, useIsFetching } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { LiveContext } from '../src/live/use-live'
import { theme } from '../src/styles/theme'
import { answer } from './answers'
import { Buttons, Cards, Forms, States } from './basics'
import { Charts } from './charts'
import { Empty, FreshStates, still } from './empty'
import { Filters } from './filters'
import { CalmCard, IncidentOpen } from './incidents'
import { MapBoxes } from './map'
import { type Name, names } from './names'
import { Dialog, DrawerOpen } from './overlays'
import { Services, Tables } from './tables'
import { TraceRows } from './trace'

// Nothing here asks a server: each request has a fixed answer, and one without is an error in the console.
window.fetch = answer

const sections: Record<Name, () => React.ReactNode> = {
  buttons: Buttons,
  states: States,
  cards: Cards,
  tables: Tables,
  services: Services,
  charts: Charts,
  filters: Filters,
  forms: Forms,
  empty: Empty,
  fresh: FreshStates,
  incident: IncidentOpen,
  calm: CalmCard,
  trace: TraceRows,
  map: MapBoxes,
  dialog: Dialog,
  drawer: DrawerOpen,
}

/** What opens over the page is shown on a page of its own. */
const over: readonly Name[] = ['dialog', 'drawer']

function Part({ name }: { name: Name }) {
  const Of = sections[name]
  const busy = useIsFetching() > 0
  const [ready, setReady] = useState(false)
  useEffect(() => {
    const t = setTimeout(() => setReady(!busy), 300) // what draws when its size is known has drawn then
    return () => clearTimeout(t)
  }, [busy])
  return (
    <section className="catalogue-part" data-ready={ready ? name : undefined} aria-label={`Catalogue: ${name}`}>
      <Of />
    </section>
  )
}

function Catalogue() {
  const chosen = names.filter((n) => n === new URLSearchParams(window.location.search).get('section'))
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  if (chosen.length > 0)
    return (
      <main>
        <h1 className="hidden">Components</h1>
        {chosen.map((n) => (
          <Part key={n} name={n} />
        ))}
      </main>
    )
  return (
    <main className="catalogue">
      <h1>Components</h1>
      <nav aria-label="Sections" className="catalogue-links">
        {names.map((n) => (
          <a key={n} href={`?section=${n}`}>
            {n}
          </a>
        ))}
        <button type="button" className="plain" onClick={() => setColorScheme(colorScheme === 'dark' ? 'light' : 'dark')}>
          Light or dark
        </button>
      </nav>
      {names.map((n) =>
        over.includes(n) ? (
          <p key={n} data-ready={n}>
            <a href={`?section=${n}`}>{n}</a> opens over the page
          </p>
        ) : (
          <div key={n}>
            <h2 className="catalogue-name">{n}</h2>
            <Part name={n} />
          </div>
        ),
      )}
    </main>
  )
}

const queries = new QueryClient({
  defaultOptions: { queries: { retry: false, staleTime: Number.POSITIVE_INFINITY, refetchOnWindowFocus: false } },
})
const root = document.getElementById('root')
if (root === null) throw new Error('index.html has no #root')
// What is drawn on a canvas stays in the font that it was drawn in.
await Promise.all(['13px Inter', '13px "JetBrains Mono"'].map((f) => document.fonts.load(f)))
createRoot(root).render(
  <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
    <QueryClientProvider client={queries}>
      <LiveContext value={still({ mode: 'live' })}>
        <Catalogue />
      </LiveContext>
    </QueryClientProvider>
  </MantineProvider>,
)
