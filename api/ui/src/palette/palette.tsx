import { Combobox, Modal, TextInput, useCombobox } from '@mantine/core'
import { Search } from 'lucide-react'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useLocation } from 'wouter'
import { useRules } from '../api/queries'
import { Problem } from '../components/bits'
import { Name } from '../components/name'
import { useDashboards } from '../dash/queries'
import { useIncidents } from '../incident/queries'
import { serverNow } from '../lib/clock'
import { useHref, useRange } from '../lib/url'
import { useZone } from '../lib/zone'
import { useLive } from '../live/use-live'
import { viewPath } from '../saved/link'
import { useSavedViews } from '../saved/queries'
import { entriesOf, search } from './entries'
import { type Entry, type Found, type Kind, most } from './match'
import './palette.css'

const groupName: Record<Kind, string> = {
  trace: 'Trace',
  page: 'Pages',
  incident: 'Open incidents',
  service: 'Services',
  view: 'Saved views',
  dashboard: 'Dashboards',
  rule: 'Alert rules',
  range: 'Time range',
}

/** Finds services, pages, open incidents, saved views, alert rules, traces by ID and time ranges, and opens one. */
export default function Palette({ onClose }: { onClose: () => void }) {
  return (
    // Locking the scroll would need a style element, which the content security policy forbids.
    <Modal.Root opened onClose={onClose} size="lg" lockScroll={false} transitionProps={{ duration: 0 }}>
      <Modal.Overlay />
      <Modal.Content aria-label="Go to">
        <Modal.Body className="palette">
          <Finder onClose={onClose} />
        </Modal.Body>
      </Modal.Content>
    </Modal.Root>
  )
}

function useEntries() {
  const [range] = useRange()
  const services = useLive('services', { range })
  const incidents = useIncidents({ state: 'open', limit: 100 })
  const dashboards = useDashboards()
  const rules = useRules()
  const views = useSavedViews()
  const entries = useMemo(
    () =>
      entriesOf({
        services: services.data?.services ?? [],
        incidents: incidents.data?.incidents ?? [],
        dashboards: dashboards.data?.dashboards ?? [],
        rules: rules.data?.rules ?? [],
        views: views.data?.views ?? [],
      }),
    [services.data, incidents.data, dashboards.data, rules.data, views.data],
  )
  const lists = [
    { name: 'services', ...services },
    { name: 'incidents', data: incidents.data, error: incidents.error?.message },
    { name: 'saved views', data: views.data, error: views.error?.message },
    { name: 'dashboards', data: dashboards.data, error: dashboards.error?.message },
    { name: 'alert rules', data: rules.data, error: rules.error?.message },
  ].filter((l) => l.data === undefined)
  return {
    entries,
    loading: lists.filter((l) => l.error === undefined).map((l) => l.name),
    failed: lists.flatMap((l) => (l.error === undefined ? [] : [`The ${l.name} could not be loaded: ${l.error}`])),
  }
}

function Finder({ onClose }: { onClose: () => void }) {
  const { entries, loading, failed } = useEntries()
  const [text, setText] = useState('')
  const zone = useZone()
  const found = useMemo(() => search(entries, text, serverNow(), zone), [entries, text, zone])
  const shown = found.groups.flatMap((g) => g.entries)
  const [, navigate] = useLocation()
  const [, setRange] = useRange()
  const href = useHref()
  const box = useCombobox({ opened: shown.length > 0, onDropdownClose: onClose })
  const open = (e: Entry) => {
    onClose()
    if ('range' in e.to) setRange(e.to.range)
    else if ('view' in e.to) navigate(viewPath(e.to.view, location.search))
    else navigate(href(e.to.path))
  }
  const { listId, selectOption, selectFirstOption } = box
  // The arrows chose an option: it stays chosen while lists arrive, until the text changes.
  const chosen = useRef(false)
  const ids = shown.map((e) => e.id).join('\n')
  // biome-ignore lint/correctness/useExhaustiveDependencies: other options, another first one
  useEffect(() => {
    const options = [...document.querySelectorAll(`#${listId} [data-combobox-option]`)]
    const at = chosen.current ? options.findIndex((o) => o.hasAttribute('data-combobox-selected')) : -1
    if (at >= 0) selectOption(at)
    else selectFirstOption()
  }, [ids, text, listId, selectOption, selectFirstOption])
  return (
    <Combobox
      store={box}
      onOptionSubmit={(id) => {
        const chosen = shown.find((e) => e.id === id)
        if (chosen) open(chosen)
      }}
    >
      <div className="palette-head">
        <Combobox.EventsTarget withExpandedAttribute>
          <TextInput
            data-autofocus
            aria-label="Go to"
            placeholder="Service, page, incident, alert rule, trace ID or time range"
            value={text}
            onKeyDown={(e) => {
              if (e.key.startsWith('Arrow')) chosen.current = true
            }}
            onChange={(e) => {
              chosen.current = false
              setText(e.currentTarget.value)
            }}
            leftSection={<Search size={14} aria-hidden="true" />}
            spellCheck={false}
            autoComplete="off"
          />
        </Combobox.EventsTarget>
        <Modal.CloseButton aria-label="Close" />
      </div>
      {shown.length > 0 && <Options found={found} />}
      {failed.map((f) => (
        <Problem key={f} error={f} />
      ))}
      <p className="palette-note" role="status">
        {loading.length > 0
          ? `Loading ${loading.join(', ')}…`
          : shown.length === 0
            ? 'Nothing matches this text.'
            : found.total > shown.length && `The first ${most} of ${found.total}. Type more to narrow the list.`}
      </p>
    </Combobox>
  )
}

function Options({ found }: { found: Found }) {
  return (
    <Combobox.Options className="palette-list" aria-label="Results">
      {found.groups.map((g) => (
        <Combobox.Group key={g.kind} label={groupName[g.kind]}>
          {g.entries.map((e) => (
            <Combobox.Option key={e.id} value={e.id}>
              <span className="palette-one">
                <Name of={e.label} />
                {e.detail && (
                  <span className="dim">
                    <Name of={e.detail} />
                  </span>
                )}
              </span>
            </Combobox.Option>
          ))}
        </Combobox.Group>
      ))}
    </Combobox.Options>
  )
}
