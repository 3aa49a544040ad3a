import { ActionIcon, Kbd, Modal, SegmentedControl, Tooltip, useMantineColorScheme } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { Component, lazy, type ReactNode, Suspense, useEffect, useMemo, useRef, useState } from 'react'
import { Link, Route, Switch, useLocation } from 'wouter'
import { strangers } from './api/client'
import { useConfig, useDimensionList, useMe } from './api/queries'
import { Problem, Status, useNow, Waiting } from './components/bits'
import { useKeys } from './components/keys'
import { endsIn, useKeepLogin } from './identity/keep'
import { Login, loginAt } from './identity/login'
import { chooseDimensions, paramOf, useDimensions } from './lib/dimensions'
import { absolute, age, duration } from './lib/format'
import { pathOfHash } from './lib/links'
import { type Range, ranges } from './lib/range'
import { useHref, useParam, useRange } from './lib/url'
import { useLive, useLiveClient, useLiveStatus } from './live/use-live'
import { ServicesPage } from './pages/services'

const ServicePage = lazy(() => import('./pages/service'))
const DeploymentsPage = lazy(() => import('./pages/deployments'))
const MapPage = lazy(() => import('./pages/map'))
const TracesPage = lazy(() => import('./pages/traces'))
const TracePage = lazy(() => import('./pages/trace'))
const LogsPage = lazy(() => import('./pages/logs'))
const ErrorsPage = lazy(() => import('./pages/errors'))
const AlertsPage = lazy(() => import('./pages/alerts'))
const RulePage = lazy(() => import('./pages/rule'))
const GraphPage = lazy(() => import('./pages/graph'))
const SLOsPage = lazy(() => import('./pages/slos'))
const AccountPage = lazy(() => import('./pages/account'))
const PipelinePage = lazy(() => import('./pages/pipeline'))

const pages = [
  { path: '/', label: 'Services' },
  { path: '/map', label: 'Map' },
  { path: '/traces', label: 'Traces' },
  { path: '/logs', label: 'Logs' },
  { path: '/errors', label: 'Errors' },
  { path: '/alerts', label: 'Alerts' },
  { path: '/slos', label: 'SLOs' },
  { path: '/pipeline', label: 'Pipeline' },
]

/** Titles of pages that the bar does not name. */
const others: Record<string, string> = { '/deployments': 'Deployments', '/alerts/new': 'New rule', '/graph': 'Rule', '/account': 'Account' }

/** The pages for a user who is logged in, the login form otherwise. */
export function App() {
  chooseDimensions(useDimensions()) // before anything below asks
  const me = useMe()
  const queries = useQueryClient()
  useEffect(() => {
    const again = () => void queries.invalidateQueries({ queryKey: ['me'] })
    strangers.addEventListener('met', again)
    return () => strangers.removeEventListener('met', again)
  }, [queries])
  const known = useRef(false)
  if (me.isPending) return <Waiting what="WatchingCat" />
  if (me.data?.authentication && me.data.name === null) {
    if (queries.getQueryData(['me', 'left']) === true) known.current = false
    return <Login ended={known.current} />
  }
  known.current = true
  return <Pages />
}

/** Links to Alertmanager's page, which are in the hash, lead to ours. */
function useAlertmanagerLinks() {
  const [, navigate] = useLocation()
  useEffect(() => {
    const follow = () => {
      const path = pathOfHash(window.location.hash)
      if (path !== undefined) navigate(path, { replace: true })
    }
    window.addEventListener('hashchange', follow)
    follow() // the hash may have changed since main.tsx read it: this page is shown once the user is known
    return () => window.removeEventListener('hashchange', follow)
  }, [navigate])
}

function Pages() {
  useAlertmanagerLinks()
  const [help, setHelp] = useState(false)
  const client = useLiveClient()
  const [location] = useLocation()
  useKeepLogin()
  useEffect(() => {
    client.start()
    return () => client.stop()
  }, [client])
  useKeys(useMemo(() => ({ help: () => setHelp(true), pause: () => client.setPaused(!client.getStatus().paused) }), [client]))
  useEffect(() => {
    const page =
      others[location] ??
      pages.find((p) => p.path === location)?.label ??
      (location.startsWith('/alerts/rules/') ? 'Rule' : decodeURIComponent(location.split('/').at(-1) ?? ''))
    document.title = `${page} · WatchingCat`
  }, [location])
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <Bar onHelp={() => setHelp(true)} />
      <Warnings />
      <main id="main" tabIndex={-1}>
        <Boundary key={location}>
          <Suspense fallback={<Waiting what="the page" />}>
            <Switch>
              <Route path="/" component={ServicesPage} />
              <Route path="/services/:name">
                <ServicePage key={location} />
              </Route>
              <Route path="/deployments" component={DeploymentsPage} />
              <Route path="/map" component={MapPage} />
              <Route path="/traces" component={TracesPage} />
              <Route path="/traces/:id">
                <TracePage key={location} />
              </Route>
              <Route path="/logs" component={LogsPage} />
              <Route path="/errors" component={ErrorsPage} />
              <Route path="/alerts" component={AlertsPage} />
              <Route path="/alerts/new" component={RulePage} />
              <Route path="/alerts/rules/:id">
                <RulePage key={location} />
              </Route>
              <Route path="/graph" component={GraphPage} />
              <Route path="/slos" component={SLOsPage} />
              <Route path="/pipeline" component={PipelinePage} />
              <Route path="/account" component={AccountPage} />
              <Route>
                <p className="quiet">
                  There is no page here. <Link href="/">Services</Link>
                </p>
              </Route>
            </Switch>
          </Suspense>
        </Boundary>
      </main>
      <Footer />
      <Help opened={help} onClose={() => setHelp(false)} />
    </>
  )
}

function isCurrent(path: string, location: string): boolean {
  if (path === '/') return location === '/' || location.startsWith('/services/') || location === '/deployments'
  return location === path || location.startsWith(`${path}/`)
}

function Bar({ onHelp }: { onHelp: () => void }) {
  const [location] = useLocation()
  const [range, setRange] = useRange()
  const href = useHref()
  const alerts = useLive('alerts').data?.alerts ?? []
  const firing = alerts.filter((a) => a.state === 'firing').length
  const nav = useRef<HTMLElement>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: on narrow screens the pages scroll sideways
  useEffect(() => {
    const current = nav.current?.querySelector<HTMLElement>('[aria-current]')
    if (nav.current && current)
      nav.current.scrollLeft = current.offsetLeft + current.offsetWidth - nav.current.offsetLeft - nav.current.clientWidth
  }, [location])
  return (
    <header className="bar">
      <Link href={href('/')} className="brand">
        <img src="/favicon.svg" alt="" width="20" height="20" />
        WatchingCat
      </Link>
      <nav aria-label="Pages" ref={nav}>
        {pages.map((p) => (
          <Link key={p.path} href={href(p.path)} aria-current={isCurrent(p.path, location) ? 'page' : undefined}>
            {p.label}
            {p.path === '/alerts' && firing > 0 && (
              <span className="badge">
                {firing}
                <span className="hidden"> firing</span>
              </span>
            )}
          </Link>
        ))}
      </nav>
      <Fresh />
      <DimensionSwitches />
      <SegmentedControl
        className="range"
        size="xs"
        aria-label="Time range"
        value={range}
        onChange={(v) => setRange(v as Range)}
        data={ranges.map((r) => ({ value: r, label: r }))}
        transitionDuration={0}
      />
      <Who />
      <SchemeButton />
      <Tooltip label="Keyboard (?)">
        <ActionIcon variant="subtle" color="gray" size="md" aria-label="Keyboard help" onClick={onHelp}>
          <span aria-hidden="true">?</span>
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
  return (
    <select className="dimension" aria-label={name} title={name} value={value} onChange={(e) => set(e.target.value, false)}>
      <option value="">{`any ${name.replace(/^(deployment|service)\./, '').replace(/\.name$/, '')}`}</option>
      {known.map((v) => (
        <option key={v} value={v}>
          {v}
        </option>
      ))}
    </select>
  )
}

/** The user, where authentication is on. */
function Who() {
  const me = useMe().data
  const href = useHref()
  const [location] = useLocation()
  if (!me?.authentication || me.name === null) return null
  return (
    <Link
      href={href('/account')}
      className="who"
      aria-current={location === '/account' ? 'page' : undefined}
      title={`${me.name}, ${me.role}`}
      aria-label={`Account: ${me.name}, ${me.role}`}
    >
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
        <path d="M8 1.5a3.2 3.2 0 1 1 0 6.4 3.2 3.2 0 0 1 0-6.4zM1.8 14.5c0-3.2 2.6-5.2 6.2-5.2s6.2 2 6.2 5.2z" />
      </svg>
      <span className="who-name">{me.name}</span>
    </Link>
  )
}

/** How fresh the page is, how far reading lags, where the data comes from; and the pause button. */
function Fresh() {
  const client = useLiveClient()
  const { mode, paused, held, meta } = useLiveStatus()
  const now = useNow()
  const old = meta?.up_to ? Math.max(0, now - Date.parse(meta.up_to)) : undefined
  const word = paused ? 'Paused' : mode === 'live' ? 'Live' : mode === 'polling' ? 'Polling' : mode === 'offline' ? 'Offline' : 'Connecting'
  return (
    <div className="fresh">
      <span className="fresh-text" title={meta?.up_to ? `newest event ${absolute(meta.up_to)}` : undefined}>
        {meta === undefined || old === undefined ? (
          'no data yet'
        ) : (
          <>
            fresh <b>{old < 1000 ? '<1 s' : age(old).replace(' ago', '')}</b> ago
            <span className="fresh-more">
              {' · '}lag <b>{lag(meta.lag_ms)}</b> · from {[meta.source].flat().join(' + ')}
            </span>
          </>
        )}
      </span>
      <button
        type="button"
        className={`mode mode-${paused ? 'paused' : mode}`}
        aria-pressed={paused}
        title={paused ? 'Go on (space)' : 'Pause (space)'}
        onClick={() => client.setPaused(!paused)}
      >
        <svg viewBox="0 0 12 12" width="10" height="10" aria-hidden="true">
          {paused ? (
            <path d="M2 1h3v10H2zM7 1h3v10H7z" />
          ) : mode === 'live' ? (
            <circle cx="6" cy="6" r="4" />
          ) : (
            <path d="M6 1a5 5 0 1 0 0 10A5 5 0 0 0 6 1zm0 1.6a3.4 3.4 0 1 1 0 6.8 3.4 3.4 0 0 1 0-6.8z" />
          )}
        </svg>
        {word}
        {paused && <span className="held"> {held > 0 ? `${held} held` : ''}</span>}
      </button>
    </div>
  )
}

/** In tenths of a second, so that it keeps its width. */
function lag(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : duration(ms)
}

function Warnings() {
  const { mode, meta } = useLiveStatus()
  const me = useMe().data
  const left = endsIn(me, useNow())
  const warnings = [...(meta?.warnings ?? [])]
  if (mode === 'offline') warnings.unshift('WatchingCat does not answer. The data on this page is old; the page retries.')
  if (warnings.length === 0 && left === undefined) return null
  return (
    <div className="warnings" role="status">
      <ul>
        {left !== undefined && (
          <li>
            <Status health="pending" word={`Your login ends in ${duration(Math.ceil(left / 60_000) * 60_000)}.`} />{' '}
            {me?.oidc && !me.local && <a href={loginAt(window.location.pathname, window.location.search)}>Log in again now</a>}
          </li>
        )}
        {warnings.map((w) => (
          <li key={w}>
            <Status health="pending" word={w} />
          </li>
        ))}
      </ul>
    </div>
  )
}

const schemes = ['auto', 'light', 'dark'] as const
const schemeGlyph = { auto: '◐', light: '☀', dark: '☾' }

function SchemeButton() {
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true })
  const next = schemes[(schemes.indexOf(colorScheme) + 1) % schemes.length] ?? 'auto'
  return (
    <Tooltip label={`Colours: ${colorScheme}`}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="md"
        aria-label={`Colours: ${colorScheme}. Change to ${next}`}
        onClick={() => setColorScheme(next)}
      >
        <span aria-hidden="true">{schemeGlyph[colorScheme]}</span>
      </ActionIcon>
    </Tooltip>
  )
}

function Footer() {
  const config = useConfig().data
  if (config === undefined) return null
  const { jaeger, grafana, prometheus, kibana } = config.links
  const links = { Jaeger: jaeger, Grafana: grafana, Prometheus: prometheus, Kibana: kibana }
  return (
    <footer className="foot">
      <span>WatchingCat {config.version}</span>
      {Object.entries(links).map(
        ([name, url]) =>
          url && (
            <a key={name} href={url}>
              {name}
            </a>
          ),
      )}
      <a href="/docs">Documents</a>
      <a href="/api/openapi.yaml">API</a>
    </footer>
  )
}

const keys: [string[], string][] = [
  [['/'], 'filter'],
  [['j'], 'next row'],
  [['k'], 'row before'],
  [['Enter'], 'open the row'],
  [['g', 's'], 'services'],
  [['g', 'd'], 'deployments'],
  [['g', 'm'], 'map'],
  [['g', 't'], 'traces'],
  [['g', 'l'], 'logs'],
  [['g', 'e'], 'errors'],
  [['g', 'a'], 'alerts'],
  [['g', 'o'], 'objectives'],
  [['g', 'p'], 'pipeline'],
  [['space'], 'pause or resume'],
  [['?'], 'this help'],
]

function Help({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    // Locking the scroll would need a style element, which the content security policy forbids.
    <Modal
      opened={opened}
      onClose={onClose}
      title="Keyboard"
      size="xs"
      lockScroll={false}
      transitionProps={{ duration: 0 }}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <dl className="keys">
        {keys.map(([k, what]) => (
          <div key={what}>
            <dt>
              {k.map((one) => (
                <Kbd key={one}>{one}</Kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  )
}

/** A page that fails says so and leaves the others alone. */
class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null as Error | null }
  static getDerivedStateFromError(error: Error) {
    return { error }
  }
  override render() {
    return this.state.error ? <Problem error={this.state.error} /> : this.props.children
  }
}
