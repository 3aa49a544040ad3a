import { Button, Popover, TextInput } from '@mantine/core'
import { Bookmark } from 'lucide-react'
import { type FormEvent, useMemo, useState } from 'react'
import { Link, useSearch } from 'wouter'
import type { SavedView } from '../api/types'
import { Problem, Waiting } from '../components/bits'
import { Check } from '../components/form'
import { Name } from '../components/name'
import { Sure } from '../components/sure'
import { useDenied } from '../identity/may'
import { hasRange, savedQuery, viewPath } from './link'
import { useSavedViews, useViewAction } from './queries'
import './saved.css'

/** The saved views of a page: opens one, saves the page as it is, deletes one. */
export function SavedViews({ page }: { page: SavedView['page'] }) {
  const [open, setOpen] = useState(false)
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-end" trapFocus transitionProps={{ duration: 0 }} width={340}>
      <Popover.Target>
        <Button leftSection={<Bookmark size={14} aria-hidden="true" />} aria-expanded={open} onClick={() => setOpen(!open)}>
          Saved views
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Saved views" className="saved">
        {open && <Panel page={page} onDone={() => setOpen(false)} />}
      </Popover.Dropdown>
    </Popover>
  )
}

function Panel({ page, onDone }: { page: SavedView['page']; onDone: () => void }) {
  const { data, error } = useSavedViews()
  const list = useMemo(() => data?.views.filter((v) => v.page === page), [data, page])
  return (
    <>
      {list === undefined ? (
        <Waiting what="saved views" error={error} />
      ) : list.length === 0 ? (
        <p className="dim">This page has no saved view yet.</p>
      ) : (
        <ul className="saved-list" aria-label="Saved views">
          {list.map((v) => (
            <One key={v.id} view={v} onDone={onDone} />
          ))}
        </ul>
      )}
      <Save page={page} list={list ?? []} />
    </>
  )
}

function One({ view: v, onDone }: { view: SavedView; onDone: () => void }) {
  const search = useSearch()
  const { mutate, isPending, error } = useViewAction()
  const reason = useDenied('editor')
  return (
    <li>
      <Link href={viewPath(v, search)} onClick={onDone} title={`Saved by ${v.saved_by}`}>
        <Name of={v.name} />
        {hasRange(v) && <span className="dim"> with its time range</span>}
      </Link>
      <Sure word="Delete" sure="Really delete?" disabled={isPending} denied={reason} onSure={() => mutate({ do: 'delete', old: v })} />
      {error && <Problem error={error} />}
    </li>
  )
}

function Save({ page, list }: { page: SavedView['page']; list: readonly SavedView[] }) {
  const search = useSearch()
  const [name, setName] = useState('')
  const [ranged, setRanged] = useState(false)
  const { mutate, isPending, error, data, reset } = useViewAction()
  const reason = useDenied('editor')
  const query = savedQuery(search, ranged)
  const old = list.find((v) => v.name === name.trim())
  const submit = (e: FormEvent) => {
    e.preventDefault()
    const view = { name: name.trim(), page, query }
    mutate(old === undefined ? { do: 'create', view } : { do: 'update', old, view }, { onSuccess: () => setName('') })
  }
  return (
    <form className="saved-form" aria-label="Save this view" onSubmit={submit}>
      <TextInput
        label="Save this view as"
        value={name}
        maxLength={100}
        disabled={reason !== undefined}
        spellCheck={false}
        autoComplete="off"
        onChange={(e) => {
          setName(e.currentTarget.value)
          reset()
        }}
      />
      <Check label="with the time range" checked={ranged} onChange={setRanged} disabled={reason !== undefined} />
      <Button type="submit" variant="filled" disabled={name.trim() === '' || isPending || reason !== undefined} title={reason}>
        {old === undefined ? 'Save' : 'Replace'}
      </Button>
      {reason !== undefined && <p className="dim">{reason}</p>}
      {error && <Problem error={error} />}
      {data && (
        <p className="dim" role="status">
          Saved “{data.name}”.
        </p>
      )}
    </form>
  )
}
