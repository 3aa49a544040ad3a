import {
  Activity,
  Bell,
  ChartLine,
  ChartNoAxesGantt,
  CircleAlert,
  CircleUserRound,
  House,
  LayoutDashboard,
  type LucideIcon,
  ScrollText,
  Settings as SettingsIcon,
  Siren,
  Target,
  Waypoints,
} from 'lucide-react'

export interface NavPage {
  path: string
  label: string
  icon: LucideIcon
  /** The letter that goes there, after g. */
  key?: string
  /** What is counted beside the label. */
  badge?: 'firing'
  /** In the bar at the bottom of narrow screens, where the others are one tap further. */
  first?: true
  /** Paths elsewhere that belong to it, as prefixes. */
  also?: string[]
}

export interface NavGroup {
  label: string
  pages: NavPage[]
}

/** The navigation, the keys and the command palette are made of this list: a new page is one line. */
export const nav: NavGroup[] = [
  {
    label: 'Now',
    pages: [
      { path: '/', label: 'Overview', icon: House, key: 's', first: true, also: ['/services/', '/deployments'] },
      { path: '/map', label: 'Map', icon: Waypoints, key: 'm' },
    ],
  },
  {
    label: 'Explore',
    pages: [
      { path: '/traces', label: 'Traces', icon: ChartNoAxesGantt, key: 't', first: true },
      { path: '/logs', label: 'Logs', icon: ScrollText, key: 'l', first: true },
      { path: '/query', label: 'Metrics', icon: ChartLine, key: 'q' },
      { path: '/dashboards', label: 'Dashboards', icon: LayoutDashboard, key: 'b' },
      { path: '/errors', label: 'Errors', icon: CircleAlert, key: 'e' },
    ],
  },
  {
    label: 'Alerting',
    pages: [
      { path: '/incidents', label: 'Incidents', icon: Siren, key: 'i', badge: 'firing', first: true },
      { path: '/alerts', label: 'Alerts', icon: Bell, key: 'a', also: ['/graph'] },
      { path: '/slos', label: 'SLOs', icon: Target, key: 'o' },
    ],
  },
  {
    label: 'System',
    pages: [
      { path: '/pipeline', label: 'Pipeline', icon: Activity, key: 'p' },
      { path: '/settings', label: 'Settings', icon: SettingsIcon },
      { path: '/account', label: 'Account', icon: CircleUserRound },
    ],
  },
]

export const navPages: NavPage[] = nav.flatMap((g) => g.pages)

/** Pages that have a key or a title and are not in the navigation; hidden: not in the command palette either. */
export const others: { path: string; label: string; key?: string; hidden?: true }[] = [
  { path: '/deployments', label: 'Deployments', key: 'd' },
  { path: '/alerts/new', label: 'New rule' },
  { path: '/onboarding', label: 'Connect a Collector' },
  { path: '/graph', label: 'Rule', hidden: true },
]

export function isCurrent(page: NavPage, location: string): boolean {
  if (location === page.path || page.also?.some((p) => location === p || (p.endsWith('/') && location.startsWith(p)))) return true
  return page.path !== '/' && location.startsWith(`${page.path}/`)
}

/** The title of a page, for the window's title. */
export function titleOf(location: string): string {
  const known = [...navPages, ...others].find((p) => p.path === location)
  if (known) return known.label
  if (location.startsWith('/alerts/rules/')) return 'Rule'
  if (location.startsWith('/errors/')) return 'Exception'
  if (location.startsWith('/dashboards/')) return 'Dashboard'
  const last = location.split('/').at(-1) ?? ''
  try {
    return decodeURIComponent(last)
  } catch {
    return last
  }
}

/** Where the letters lead after g. */
export const places: Record<string, string> = Object.fromEntries(
  [...navPages, ...others].flatMap((p) => (p.key === undefined ? [] : [[p.key, p.path]])),
)
