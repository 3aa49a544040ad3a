import { Suspense, useEffect, useMemo, useState } from 'react'
import { useLocation } from 'wouter'
import { Waiting } from '../components/bits'
import { useKeys } from '../components/keys'
import { useKeepLogin } from '../identity/keep'
import { prefetchPages } from '../lib/lazy'
import { pathOfHash } from '../lib/links'
import { useZone } from '../lib/zone'
import { useLiveClient } from '../live/use-live'
import { Bar } from './bar'
import { Boundary } from './boundary'
import { Help } from './help'
import { titleOf } from './nav'
import { PaletteDialog, usePalette } from './palette'
import { Routes } from './routes'
import { BottomBar, Side } from './side'
import { Footer, Warnings } from './warnings'

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

/** The navigation, the bar, and the page that the path names. */
export function Frame() {
  useAlertmanagerLinks()
  const [help, setHelp] = useState(false)
  const [palette, setPalette] = usePalette()
  const client = useLiveClient()
  const [location] = useLocation()
  const zone = useZone()
  useKeepLogin()
  useEffect(() => prefetchPages(), [])
  useEffect(() => {
    client.start()
    return () => client.stop()
  }, [client])
  useKeys(useMemo(() => ({ help: () => setHelp(true), pause: () => client.setPaused(!client.getStatus().paused) }), [client]))
  useEffect(() => {
    document.title = `${titleOf(location)} · WatchingCat`
  }, [location])
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to content
      </a>
      <Side />
      <div className="page">
        <Bar onHelp={() => setHelp(true)} onPalette={() => setPalette(true)} />
        <Warnings />
        <main id="main" tabIndex={-1}>
          <Boundary key={`${location} ${zone}`}>
            <Suspense fallback={<Waiting what="the page" />}>
              <Routes />
            </Suspense>
          </Boundary>
        </main>
        <Footer />
      </div>
      <BottomBar />
      {palette && <PaletteDialog onClose={() => setPalette(false)} />}
      <Help opened={help} onClose={() => setHelp(false)} />
    </div>
  )
}
