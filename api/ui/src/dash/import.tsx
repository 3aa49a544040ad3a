import { Button } from '@mantine/core'
import { useId, useState } from 'react'
import { useLocation } from 'wouter'
import type { ConvertedDashboard } from '../api/types'
import { Problem } from '../components/bits'
import { Text } from '../components/text'
import { useHref } from '../lib/url'
import { readFile } from './file'
import { convert, dashboardPath, useDashboardAction } from './queries'

/** Takes a dashboard of Grafana, or one that was exported here; what it cannot take is shown before it is stored. */
export function ImportForm() {
  const [text, setText] = useState('')
  const [found, setFound] = useState<ConvertedDashboard>()
  const [wrong, setWrong] = useState<Error | string>()
  const { mutate, isPending, error } = useDashboardAction()
  const [, navigate] = useLocation()
  const href = useHref()
  const file = useId()
  const read = async (of: string) => {
    setFound(undefined)
    setWrong(undefined)
    const doc = readFile(of)
    if ('wrong' in doc) return setWrong(doc.wrong)
    if ('own' in doc) return setFound({ dashboard: doc.own, notes: [] })
    try {
      setFound(await convert(doc.other))
    } catch (err) {
      setWrong(err as Error)
    }
  }
  const by = new Map<string, string[]>()
  for (const n of found?.notes ?? []) by.set(n.panel, [...(by.get(n.panel) ?? []), n.text])
  const panels = found?.dashboard.panels?.length ?? 0
  return (
    <form
      className="dash-import"
      aria-label="Import a dashboard"
      onSubmit={(e) => {
        e.preventDefault()
        void read(text)
      }}
    >
      <Text
        label="JSON"
        hint="A dashboard exported from Grafana (classic model) or from WatchingCat, at most 1 MiB."
        value={text}
        onChange={setText}
        area
      />
      <div className="tools">
        <Button type="submit" disabled={text.trim() === ''}>
          Read
        </Button>
        <label className="dash-file" htmlFor={file}>
          or a file
          <input
            id={file}
            type="file"
            accept=".json,application/json"
            onChange={async (e) => {
              const chosen = e.currentTarget.files?.[0]
              if (chosen) void read(await chosen.text())
            }}
          />
        </label>
      </div>
      {wrong && <Problem error={wrong} />}
      {found && (
        <div className="dash-found" role="status">
          <p>
            <b>
              <bdi>{found.dashboard.title}</bdi>
            </b>
            : {panels} panels, {found.dashboard.variables?.length ?? 0} variables.{' '}
            {found.notes.length === 0 ? 'Nothing is left out.' : `${found.notes.length} differences from the original:`}
          </p>
          {by.size > 0 && (
            <dl tabIndex={0} aria-label="Differences">
              {[...by].map(([panel, texts]) => (
                <div key={panel}>
                  <dt>{panel || 'Dashboard'}</dt>
                  {texts.map((t) => (
                    <dd key={t}>{t}</dd>
                  ))}
                </div>
              ))}
            </dl>
          )}
          {error && <Problem error={error} />}
          <Button
            variant="filled"
            disabled={isPending}
            onClick={() =>
              mutate({ do: 'create', dashboard: found.dashboard }, { onSuccess: (d) => d && navigate(href(dashboardPath(d.id))) })
            }
          >
            Create dashboard
          </Button>
        </div>
      )}
    </form>
  )
}
