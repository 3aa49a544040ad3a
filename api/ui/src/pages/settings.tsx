import { Button } from '@mantine/core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { Plug } from 'lucide-react'
import { Receivers } from '../alert/notifications'
import { getJSON, sendJSON } from '../api/client'
import { useEvery, useMe } from '../api/queries'
import type { BackendSetting, BackendTest, SettingsAnswer } from '../api/types'
import { Problem, Section, Since, Status, Waiting } from '../components/bits'
import { LinkButton } from '../components/button'
import { PageHeader } from '../components/page'
import { type Column, Table } from '../components/table'
import { useDenied } from '../identity/may'
import { took } from '../lib/format'
import { useHref } from '../lib/url'
import { Tokens, Users } from './account'
import './settings.css'

type Setting = SettingsAnswer['settings'][number]

/** What this installation is set up to do. What the page cannot change names the setting that does. */
export default function SettingsPage() {
  const { data, error } = useQuery({
    queryKey: ['settings'],
    queryFn: ({ signal }) => getJSON<SettingsAnswer>('/api/v1/settings', {}, signal),
    refetchInterval: useEvery(10_000),
  })
  return (
    <>
      <PageHeader
        title="Settings"
        sentence="Values in force. A value that cannot be changed here names the environment variable that sets it."
      />
      {data === undefined ? (
        <Waiting what="settings" error={error} />
      ) : (
        <>
          <Section title="Backends" note="answer for what is older than the views">
            <ul className="backends" aria-label="Backends">
              {data.backends.map((b) => (
                <Backend key={b.name} backend={b} />
              ))}
            </ul>
          </Section>
          <Receivers />
          <Values title="Retention" note="and storage" list={data.settings.filter((s) => s.group === 'storage')} />
          <Values title="Limits" list={data.settings.filter((s) => s.group === 'limits')} />
          <Identity />
          <About about={data.about} />
        </>
      )}
    </>
  )
}

const words: Record<string, string> = {
  unknown: 'not asked yet',
  ok: 'ok',
  failing: 'last request failed',
  down: 'down, requests are suspended',
  probing: 'the next request tests it',
}

const names: Record<BackendSetting['name'], string> = { jaeger: 'Jaeger', prometheus: 'Prometheus', elasticsearch: 'Elasticsearch' }

function Backend({ backend: b }: { backend: BackendSetting }) {
  const reason = useDenied('editor')
  const { mutate, data, error, isPending } = useMutation({
    mutationFn: () => sendJSON<BackendTest>('POST', `/api/v1/backends/${b.name}/test`),
  })
  const state = b.state ?? 'unknown'
  return (
    <li>
      <h3>{names[b.name]}</h3>
      {b.address === null ? (
        <p className="dim">
          Not set up. <code>{b.setting}</code> sets its address.
        </p>
      ) : (
        <>
          <p>
            <code>{b.address}</code> <span className="dim">set by {b.setting}</span>
          </p>
          <p>
            <Status health={state === 'ok' ? 'ok' : state === 'unknown' ? 'nodata' : 'pending'} word={words[state] ?? state} />
            {b.error !== null && <span className="dim"> {b.error}</span>}
          </p>
          <Button
            leftSection={<Plug size={14} aria-hidden="true" />}
            disabled={isPending || reason !== undefined}
            title={reason}
            aria-label={`Test ${names[b.name]}`}
            onClick={() => mutate()}
          >
            {isPending ? 'Testing…' : 'Test'}
          </Button>
          {error && <Problem error={error} />}
          {data && (
            <p role="status">
              {data.ok ? (
                <Status health="ok" word={`Answered in ${took(data.took_ms)}`} />
              ) : (
                <Status health="firing" word={`No answer: ${data.error ?? 'unknown error'}`} />
              )}
            </p>
          )}
        </>
      )}
    </li>
  )
}

const columns: Column<Setting>[] = [
  {
    id: 'what',
    label: 'Setting',
    className: 'c-main c-setting',
    cell: (s) => (
      <>
        {s.help.charAt(0).toUpperCase() + s.help.slice(1)}
        <br />
        <code className="dim">{s.name}</code>
      </>
    ),
  },
  {
    id: 'value',
    label: 'Value',
    cell: (s) =>
      s.value === '' ? (
        <span className="dim">not set</span>
      ) : (
        <b className={s.value === s.default ? 'plain-value' : undefined}>{s.value}</b>
      ),
  },
  {
    id: 'default',
    label: 'Default',
    wide: true,
    cell: (s) => <span className="dim">{s.value === s.default ? 'the same' : s.default || 'not set'}</span>,
  },
]
const keyOf = (s: Setting) => s.name

function Values({ title, note, list }: { title: string; note?: string; list: readonly Setting[] }) {
  return (
    <Section title={title} note={note}>
      <Table label={title} rows={list} columns={columns} rowKey={keyOf} sort="" empty="There are no settings of this kind." />
    </Section>
  )
}

/** Users and tokens, for admins; one's own account has a page. */
function Identity() {
  const me = useMe().data
  const reason = useDenied('admin')
  const href = useHref()
  if (me === undefined) return <Waiting what="the account" />
  if (me.authentication && reason === undefined)
    return (
      <>
        <Users me={me} />
        <Tokens />
      </>
    )
  return (
    <Section title="Users and tokens" actions={<LinkButton href={href('/account')}>Your account</LinkButton>}>
      <p className="dim">
        {me.authentication ? (
          reason
        ) : (
          <>
            Authentication is off. <code>WATCHINGCAT_AUTH_ENABLED=true</code> requires users and tokens.
          </>
        )}
      </p>
    </Section>
  )
}

function About({ about: a }: { about: SettingsAnswer['about'] }) {
  return (
    <Section title="About">
      <dl className="facts">
        <div>
          <dt>Version</dt>
          <dd>{a.version}</dd>
        </div>
        {a.revision !== null && (
          <div>
            <dt>Revision</dt>
            <dd>
              <code title={a.revision}>{a.revision.slice(0, 12)}</code>
            </dd>
          </div>
        )}
        <div>
          <dt>Built with</dt>
          <dd>
            {a.go}, {a.platform}
          </dd>
        </div>
        {a.started_at !== null && (
          <div>
            <dt>Uptime</dt>
            <dd>
              <Since time={a.started_at} />
            </dd>
          </div>
        )}
        <div>
          <dt>License</dt>
          <dd>
            Apache-2.0, <a href="/docs/licenses">licences of the libraries</a>
          </dd>
        </div>
      </dl>
    </Section>
  )
}
