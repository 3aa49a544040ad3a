import { useConfig, useMe } from '../api/queries'
import { Status, useNow } from '../components/bits'
import { endsIn } from '../identity/keep'
import { loginAt } from '../identity/login-at'
import { duration } from '../lib/format'
import { useLiveStatus } from '../live/use-live'

/** What concerns the whole page: the server does not answer, answers are incomplete, the login ends. */
export function Warnings() {
  const { mode, stale, meta } = useLiveStatus()
  const me = useMe().data
  const left = endsIn(me, useNow())
  const warnings = [...(meta?.warnings ?? [])]
  if (mode === 'offline') warnings.unshift('WatchingCat does not answer. The data on this page is old; the page retries.')
  else if (stale) warnings.unshift('WatchingCat has stopped answering. The data on this page is old.')
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

export function Footer() {
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
