import './bits.css'
import { ChevronRight, X } from 'lucide-react'
import { memo, type ReactNode, useState, useSyncExternalStore } from 'react'
import { Link } from 'wouter'
import type { ApiError } from '../api/client'
import type { Meta } from '../api/types'
import { onTick, tickNow } from '../lib/clock'
import { absolute, age, duration, none } from '../lib/format'
import { type Health, healthWord } from '../lib/health'
import { useTrust } from '../lib/trust'
import { servicePath, useHref } from '../lib/url'
import { colorOf } from '../trace/color'
import { Name } from './name'

const shapes: Record<Health, ReactNode> = {
  firing: <path d="M8 1.2 15.4 14.4H.6z M7.3 5.8v4.4h1.4V5.8z M7.3 11.3v1.5h1.4v-1.5z" fillRule="evenodd" />,
  pending: (
    <path
      d="M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm0 1.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM7.3 4.4v4l3 1.9.8-1.2-2.3-1.4V4.4z"
      fillRule="evenodd"
    />
  ),
  failing: (
    <path d="M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zM4.9 6 6 4.9l2 2 2-2L11.1 6l-2 2 2 2-1.1 1.1-2-2-2 2L4.9 10l2-2z" fillRule="evenodd" />
  ),
  silent: <path d="M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zM4.5 7.2h7v1.6h-7z" fillRule="evenodd" />,
  slower: (
    <path d="M4 1.5h8v2.6L9.3 8l2.7 3.9v2.6H4v-2.6L6.7 8 4 4.1zM5.5 3v.7L8 7.2l2.5-3.5V3zM8 8.9l-2.5 3.5v.6h5v-.6z" fillRule="evenodd" />
  ),
  few: (
    <path d="M3 7a1.2 1.2 0 1 1 0 2.2A1.2 1.2 0 0 1 3 7zm5 0a1.2 1.2 0 1 1 0 2.2A1.2 1.2 0 0 1 8 7zm5 0a1.2 1.2 0 1 1 0 2.2A1.2 1.2 0 0 1 13 7z" />
  ),
  ok: <path d="M6.3 12.6 2 8.3l1.3-1.3 3 3 6.4-6.5L14 4.8z" />,
  nodata: <path d="M3 7.2h10v1.6H3z" />,
}

/** Icon, word and colour: never colour alone. */
export const Status = memo(function Status({ health, word }: { health: Health; word?: string }) {
  // What was ok when the server last said so is not said to be ok now.
  const trusted = useTrust() || health !== 'ok' || word !== undefined
  return (
    <span className={`status status-${trusted ? health : 'nodata'}`}>
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
        {shapes[trusted ? health : 'nodata']}
      </svg>
      {word ?? (trusted ? healthWord[health] : 'was ok')}
    </span>
  )
})

export function useNow(): number {
  return useSyncExternalStore(onTick, tickNow)
}

/** A time as its age, which goes on counting; the absolute time on hover. */
export const Ago = memo(function Ago({ time }: { time: string | null | undefined }) {
  const now = useNow()
  if (!time) return <>{none}</>
  return (
    <time dateTime={time} title={absolute(time)}>
      {age(now - Date.parse(time))}
    </time>
  )
})

/** Since when, as a length of time. */
export const Since = memo(function Since({ time }: { time: string }) {
  const now = useNow()
  return (
    <time dateTime={time} title={absolute(time)}>
      {duration(Math.max(1000, Math.round((now - Date.parse(time)) / 1000) * 1000))}
    </time>
  )
})

export const ServiceLink = memo(function ServiceLink({ name, row }: { name: string; row?: boolean }) {
  const href = useHref()
  if (name === '') return <span className="name dim">(empty name)</span>
  return (
    <Link href={href(servicePath(name))} className="name" data-row-link={row || undefined} title={name}>
      <Name of={name} />
    </Link>
  )
})

export function Problem({ error }: { error: Error | string }) {
  const advice = typeof error === 'string' ? '' : ((error as ApiError).advice ?? '')
  return (
    <p className="problem" role="alert">
      <Status health="firing" word={typeof error === 'string' ? error : error.message} />
      {advice && <span className="dim"> {advice}</span>}
    </p>
  )
}

/** Shown from 150 ms on, by CSS, so that quick answers do not flash. */
export function Waiting({ what, error }: { what: string; error?: Error | string | undefined | null }) {
  if (error) return <Problem error={error} />
  return (
    <p className="waiting" role="status">
      Waiting for {what} …
    </p>
  )
}

/** Labels as small key=value pairs. */
export const Labels = memo(function Labels({ labels, without = [] }: { labels: Record<string, string>; without?: string[] }) {
  const keys = Object.keys(labels)
    .filter((k) => !without.includes(k))
    .sort()
  return (
    <span className="labels">
      {keys.map((k) => (
        <span key={k} className="label">
          <Name of={k} />=
          <b>
            <Name of={labels[k] ?? ''} />
          </b>
        </span>
      ))}
    </span>
  )
})

interface SectionProps {
  title: string
  note?: ReactNode
  /** Buttons at the right of the title. */
  actions?: ReactNode
  children: ReactNode
  id?: string
}

export function Section({ title, note, actions, children, id }: SectionProps) {
  return (
    <section className="section" aria-labelledby={id ?? slug(title)}>
      <header>
        <h2 id={id ?? slug(title)}>{title}</h2>
        {note && <span className="note">{note}</span>}
        {actions && <span className="section-actions">{actions}</span>}
      </header>
      {children}
    </section>
  )
}

function slug(s: string): string {
  return s.toLowerCase().replace(/[^a-z0-9]+/g, '-')
}

/** What an answer says about itself: that something is missing, and why. */
export function MetaWarnings({ meta }: { meta: Meta | undefined }) {
  if (meta === undefined || (meta.warnings.length === 0 && !meta.partial)) return null
  return (
    <div className="said" role="status">
      <ul>
        {(meta.warnings.length > 0 ? meta.warnings : ['This answer is not complete.']).map((w) => (
          <li key={w}>
            <Status health="pending" word={w} />
          </li>
        ))}
      </ul>
    </div>
  )
}

interface DisclosureProps {
  summary: ReactNode
  children: () => ReactNode
  /** For j and k. */
  row?: boolean
}

/** A head that opens; what is inside is made only then. Plain elements, because there may be hundreds in a list. */
export function Disclosure({ summary, children, row = true }: DisclosureProps) {
  const [open, setOpen] = useState(false)
  return (
    <div className="disclosure" data-open={open || undefined}>
      <button
        type="button"
        className="disclosure-head"
        aria-expanded={open}
        data-row-link={row || undefined}
        onClick={() => setOpen(!open)}
      >
        <ChevronRight aria-hidden="true" />
        <span>{summary}</span>
      </button>
      {open && <div className="disclosure-body">{children()}</div>}
    </div>
  )
}

/** A service's colour, beside its name. */
export const Swatch = memo(function Swatch({ service }: { service: string }) {
  return (
    <svg className="swatch" width="8" height="8" viewBox="0 0 8 8" aria-hidden="true">
      <rect width="8" height="8" rx="2" style={{ fill: colorOf(service) }} />
    </svg>
  )
})

/** Something that narrows the list, and how to undo it. */
export function Chip({ label, children, onClear }: { label: string; children: ReactNode; onClear: () => void }) {
  return (
    <span className="chip">
      <span className="dim">{label}</span> <span className="chip-text">{children}</span>
      <button type="button" aria-label={`Without ${label}`} onClick={onClear}>
        <X size={14} aria-hidden="true" />
      </button>
    </span>
  )
}

export function NewBadge() {
  return <span className="new">new</span>
}
