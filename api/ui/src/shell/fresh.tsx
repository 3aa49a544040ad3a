import { useNow } from '../components/bits'
import { absolute, age, duration } from '../lib/format'
import { endsNow, lengthText, rangeSeconds } from '../lib/range'
import { useRange } from '../lib/url'
import { useLiveClient, useLiveStatus } from '../live/use-live'

/** How fresh the page is, how far reading lags, where the data comes from; and the pause button. */
export function Fresh() {
  const client = useLiveClient()
  const { mode, paused, held, stale, meta } = useLiveStatus()
  const [range, setRange] = useRange()
  const now = useNow()
  const old = meta?.up_to ? Math.max(0, now - Date.parse(meta.up_to)) : undefined
  const late = stale && mode === 'live'
  const word = paused
    ? 'Paused'
    : late
      ? 'Stale'
      : mode === 'live'
        ? 'Live'
        : mode === 'polling'
          ? 'Polling'
          : mode === 'offline'
            ? 'Offline'
            : 'Connecting'
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
      {endsNow(range) ? null : (
        <button type="button" className="mode mode-past" onClick={() => setRange(lengthText(rangeSeconds(range)))}>
          Go to now
        </button>
      )}
      <button
        type="button"
        hidden={!endsNow(range) && !paused && mode === 'live' && !late}
        className={`mode mode-${paused ? 'paused' : late ? 'stale' : mode}`}
        aria-pressed={paused}
        title={paused ? 'Resume (space)' : 'Pause (space)'}
        onClick={() => client.setPaused(!paused)}
      >
        <svg viewBox="0 0 12 12" width="10" height="10" aria-hidden="true">
          {paused ? (
            <path d="M2 1h3v10H2zM7 1h3v10H7z" />
          ) : late ? (
            <path d="M6 1a5 5 0 1 0 0 10A5 5 0 0 0 6 1zm-.6 2.2h1.2v2.5l1.8 1.1-.6 1-2.4-1.4z" fillRule="evenodd" />
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
