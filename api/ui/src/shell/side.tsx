import { Drawer } from '@mantine/core'
import { Menu } from 'lucide-react'
import { useEffect, useState } from 'react'
import { Link, useLocation } from 'wouter'
import { useMe } from '../api/queries'
import type { AlertList } from '../api/types'
import { useHref } from '../lib/url'
import { useLiveText } from '../live/use-live'
import { isCurrent, type NavPage, nav, navPages } from './nav'

const slowly = { every: '2s' } // as on the map, so that both are one subscription
const firingOf = (list: AlertList) => String(list.alerts.filter((a) => a.state === 'firing').length)

function Badge() {
  const firing = useLiveText('alerts', firingOf, slowly) ?? '0'
  if (firing === '0') return null
  return (
    <span className="badge">
      {firing}
      <span className="hidden"> firing</span>
    </span>
  )
}

function Item({ page }: { page: NavPage }) {
  const [location] = useLocation()
  const href = useHref()
  const me = useMe().data
  const name = page.path === '/account' && me?.authentication && me.name !== null ? me.name : undefined
  const Icon = page.icon
  return (
    <Link
      href={href(page.path)}
      className="side-link"
      aria-current={isCurrent(page, location) ? 'page' : undefined}
      title={name === undefined ? page.label : `${name}, ${me?.role}`}
      aria-label={name === undefined ? undefined : `Account: ${name}, ${me?.role}`}
    >
      <Icon aria-hidden="true" />
      <span className="side-text">{name === undefined ? page.label : <bdi>{name}</bdi>}</span>
      {page.badge !== undefined && <Badge />}
    </Link>
  )
}

function Groups() {
  return nav.map((g) => (
    <div key={g.label} className="side-group">
      <p aria-hidden="true">{g.label}</p>
      {g.pages.map((p) => (
        <Item key={p.path} page={p} />
      ))}
    </div>
  ))
}

export function Brand() {
  const href = useHref()
  return (
    <Link href={href('/')} className="brand">
      <img src="/favicon.svg" alt="" width="20" height="20" />
      <span className="side-text">WatchingCat</span>
    </Link>
  )
}

/** The navigation: at the left, as icons where there is less room. */
export function Side() {
  return (
    <div className="side">
      <nav aria-label="Pages">
        <Brand />
        <Groups />
      </nav>
    </div>
  )
}

/** The navigation of narrow screens: four pages at the bottom, all of them in a drawer. */
export function BottomBar() {
  const [open, setOpen] = useState(false)
  const [location] = useLocation()
  // biome-ignore lint/correctness/useExhaustiveDependencies: going to a page closes it
  useEffect(() => setOpen(false), [location])
  return (
    <>
      <nav className="bottom" aria-label="Main pages">
        {navPages
          .filter((p) => p.first)
          .map((p) => (
            <Item key={p.path} page={p} />
          ))}
        <button type="button" className="side-link" aria-expanded={open} onClick={() => setOpen(true)}>
          <Menu aria-hidden="true" />
          <span className="side-text">More</span>
        </button>
      </nav>
      {/* Locking the scroll would need a style element, which the content security policy forbids. */}
      <Drawer
        opened={open}
        onClose={() => setOpen(false)}
        title="Pages"
        size="260px"
        lockScroll={false}
        transitionProps={{ duration: 0 }}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <nav className="side-drawer" aria-label="All pages">
          <Groups />
        </nav>
      </Drawer>
    </>
  )
}
