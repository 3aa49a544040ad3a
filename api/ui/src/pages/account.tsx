import { Button } from '@mantine/core'
import { Plus } from 'lucide-react'
import { useMemo, useState } from 'react'
import {
  type UserAction,
  useEntrance,
  useMe,
  useNewToken,
  usePassword,
  useRevoke,
  useTokens,
  useUserAction,
  useUsers,
} from '../api/queries'
import type { Me, Role, Token, User } from '../api/types'
import { Ago, Problem, Section, Status, useNow, Waiting } from '../components/bits'
import { Pick } from '../components/form'
import { PageHeader } from '../components/page'
import { Sure } from '../components/sure'
import { type Column, Table } from '../components/table'
import { Text } from '../components/text'
import { useDenied } from '../identity/may'
import { absolute } from '../lib/format'
import '../alert/rule.css'
import '../identity/identity.css'
import './slos.css'

const roles: Role[] = ['viewer', 'editor', 'admin']

const mayDo: Record<Role, string> = {
  viewer: 'reads everything',
  editor: 'reads everything, changes rules, objectives, silences and replays',
  admin: 'everything, users and tokens too',
}

function RoleChoice(props: { value: Role; onChange: (role: Role) => void; label: string; hidden?: boolean }) {
  return <Pick {...props} options={roles.map((r) => [r, r] as const)} />
}

/** Who looks; for admins who else may, and with which tokens. */
export default function AccountPage() {
  const me = useMe().data
  const reason = useDenied('admin')
  if (me === undefined) return <Waiting what="the account" />
  return (
    <>
      <PageHeader title="Account" sentence="Who you are, and who else may use WatchingCat." />
      <You me={me} />
      {!me.authentication ? null : reason !== undefined ? (
        <p className="said">Users and tokens: {reason}</p>
      ) : (
        <>
          <Users me={me} />
          <Tokens />
        </>
      )}
    </>
  )
}

function You({ me }: { me: Me }) {
  const { mutate, isPending, error } = useEntrance()
  const [changing, setChanging] = useState(false)
  if (!me.authentication || me.role === null) {
    return (
      <Section title="You">
        <p className="said">
          Authentication is off: everybody may everything. <code>WATCHINGCAT_AUTH_ENABLED=true</code> asks for users and tokens.
        </p>
      </Section>
    )
  }
  return (
    <Section title="You">
      <dl className="pairs you">
        <div>
          <dt>name</dt>
          <dd>{me.name}</dd>
        </div>
        <div>
          <dt>role</dt>
          <dd>
            {me.role} <span className="dim">{mayDo[me.role]}</span>
          </dd>
        </div>
        {me.expires_at && (
          <div>
            <dt>until</dt>
            <dd>
              {absolute(me.expires_at)} {me.local && <span className="dim">prolonged while a page is open</span>}
            </dd>
          </div>
        )}
      </dl>
      {error && <Problem error={error} />}
      {changing && <NewPassword done={() => setChanging(false)} />}
      {me.login ? (
        <div className="tools">
          {me.local && (
            <Button aria-expanded={changing} onClick={() => setChanging(!changing)}>
              {changing ? 'Close' : 'Change password'}
            </Button>
          )}
          <Button disabled={isPending} onClick={() => mutate({ do: 'logout' })}>
            Log out
          </Button>
        </div>
      ) : (
        <p className="dim">You use an API token, not a login: the browser sends it until you close the browser.</p>
      )}
    </Section>
  )
}

/** A password is typed twice, because it is hidden. */
function Twice({ first, second, onFirst, onSecond, tried }: Record<'first' | 'second', string> & Twiced) {
  return (
    <>
      <Text
        label="New password"
        hint="8 bytes at least"
        type="password"
        value={first}
        onChange={onFirst}
        required
        autoComplete="new-password"
      />
      <Text
        label="Again"
        type="password"
        value={second}
        onChange={onSecond}
        required
        autoComplete="new-password"
        error={tried && first !== second ? 'not the same' : undefined}
      />
    </>
  )
}

interface Twiced {
  onFirst: (v: string) => void
  onSecond: (v: string) => void
  tried: boolean
}

function NewPassword({ done }: { done: () => void }) {
  const [old, setOld] = useState('')
  const [first, setFirst] = useState('')
  const [second, setSecond] = useState('')
  const [tried, setTried] = useState(false)
  const { mutate, isPending, error, isSuccess } = usePassword()
  if (isSuccess) {
    return (
      <p className="said" role="status">
        The password is changed. Your logins elsewhere have ended. <Button onClick={done}>Done</Button>
      </p>
    )
  }
  return (
    <form
      aria-label="Change password"
      className="rule-form making"
      onSubmit={(e) => {
        e.preventDefault()
        setTried(true)
        if (first === second) mutate({ password: old, new_password: first })
      }}
    >
      <div className="row">
        <Text label="Password now" type="password" value={old} onChange={setOld} required autoComplete="current-password" autoFocus />
        <Twice first={first} second={second} onFirst={setFirst} onSecond={setSecond} tried={tried} />
      </div>
      {error && <Problem error={error} />}
      <div className="tools">
        <Button type="submit" variant="filled" disabled={isPending}>
          Set new password
        </Button>
      </div>
    </form>
  )
}

/** An admin sets the password of a user who forgot it. */
function ResetPassword({ user, done }: { user: User; done: () => void }) {
  const [first, setFirst] = useState('')
  const [second, setSecond] = useState('')
  const [tried, setTried] = useState(false)
  const { mutate, isPending, error } = useUserAction()
  return (
    <form
      aria-label={`New password of ${user.name}`}
      className="rule-form making"
      onSubmit={(e) => {
        e.preventDefault()
        setTried(true)
        if (first === second) mutate({ do: 'update', name: user.name, change: { role: user.role, password: first } }, { onSuccess: done })
      }}
    >
      <p>
        A new password for <b>{user.name}</b>. Their logins end. They can change the password after they log in.
      </p>
      <div className="row">
        <Twice first={first} second={second} onFirst={setFirst} onSecond={setSecond} tried={tried} />
      </div>
      {error && <Problem error={error} />}
      <div className="tools">
        <Button type="submit" variant="filled" disabled={isPending}>
          Set password
        </Button>
        <Button onClick={done}>Discard</Button>
      </div>
    </form>
  )
}

const userColumns = (act: (a: UserAction) => void, busy: boolean, me: Me, reset: (name: string) => void): Column<User>[] => [
  {
    id: 'name',
    label: 'Name',
    className: 'c-name',
    sort: (u) => u.name,
    cell: (u) => (
      <b className="name" title={u.name}>
        {u.name}
      </b>
    ),
  },
  {
    id: 'role',
    label: 'Role',
    sort: (u) => roles.indexOf(u.role),
    cell: (u) => (
      <RoleChoice
        hidden
        label={`Role of ${u.name}`}
        value={u.role}
        onChange={(role) => act({ do: 'update', name: u.name, change: { role } })}
      />
    ),
  },
  { id: 'created', label: 'Added', wide: true, className: 'c-ago', sort: (u) => u.created_at, cell: (u) => <Ago time={u.created_at} /> },
  {
    id: 'do',
    label: 'Change',
    className: 'c-do',
    cell: (u) => (
      <span className="actions">
        {u.name !== me.name && (
          <button type="button" className="plain" aria-label={`Set password of ${u.name}`} onClick={() => reset(u.name)}>
            Set password
          </button>
        )}
        <Sure
          word="Delete"
          sure={u.name === me.name ? 'Really delete yourself' : 'Really delete'}
          disabled={busy}
          onSure={() => act({ do: 'delete', name: u.name })}
        />
      </span>
    ),
  },
]
const userKey = (u: User) => u.name

export function Users({ me }: { me: Me }) {
  const users = useUsers()
  const { mutate, isPending, error } = useUserAction()
  const [forgot, setForgot] = useState('')
  const cols = useMemo(() => userColumns(mutate, isPending, me, setForgot), [mutate, isPending, me])
  const [making, setMaking] = useState(false)
  const forgetful = users.data?.users.find((u) => u.name === forgot)
  return (
    <Section
      title="Users"
      note={users.data && `${users.data.users.length}`}
      actions={
        <Button leftSection={!making && <Plus size={14} aria-hidden="true" />} aria-expanded={making} onClick={() => setMaking(!making)}>
          {making ? 'Discard' : 'New user'}
        </Button>
      }
    >
      {making && <NewUser done={() => setMaking(false)} />}
      {forgetful && <ResetPassword key={forgot} user={forgetful} done={() => setForgot('')} />}
      {error && <Problem error={error} />}
      {users.data === undefined ? (
        <Waiting what="users" error={users.error} />
      ) : (
        <Table
          label="Users"
          rows={users.data.users}
          columns={cols}
          rowKey={userKey}
          sort="name"
          param="users"
          empty="No users yet. API tokens work without them."
        />
      )}
    </Section>
  )
}

function NewUser({ done }: { done: () => void }) {
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const [role, setRole] = useState<Role>('viewer')
  const { mutate, isPending, error } = useUserAction()
  return (
    <form
      aria-label="New user"
      className="rule-form making"
      onSubmit={(e) => {
        e.preventDefault()
        mutate({ do: 'create', user: { name, password, role } }, { onSuccess: done })
      }}
    >
      <div className="row">
        <Text label="Name" value={name} onChange={setName} required />
        <Text
          label="Password"
          hint="8 bytes at least"
          type="password"
          value={password}
          onChange={setPassword}
          required
          autoComplete="new-password"
        />
        <RoleChoice label="Role" value={role} onChange={setRole} />
      </div>
      {error && <Problem error={error} />}
      <div className="tools">
        <Button type="submit" variant="filled" disabled={isPending}>
          Add user
        </Button>
      </div>
    </form>
  )
}

function Expiry({ at }: { at: string | undefined }) {
  const now = useNow()
  if (at === undefined) return <span className="dim">never</span>
  return Date.parse(at) > now ? absolute(at) : <Status health="nodata" word="expired" />
}

const tokenColumns = (revoke: (id: string) => void, busy: boolean): Column<Token>[] => [
  {
    id: 'name',
    label: 'Name',
    className: 'c-name',
    sort: (t) => t.name,
    cell: (t) => (
      <b className="name" title={t.name}>
        {t.name}
      </b>
    ),
  },
  { id: 'role', label: 'Role', sort: (t) => roles.indexOf(t.role), cell: (t) => t.role },
  { id: 'by', label: 'Made by', wide: true, sort: (t) => t.created_by, cell: (t) => t.created_by },
  { id: 'created', label: 'Made', wide: true, className: 'c-ago', sort: (t) => t.created_at, cell: (t) => <Ago time={t.created_at} /> },
  {
    id: 'used',
    label: 'Last used',
    className: 'c-ago',
    sort: (t) => t.last_used_at ?? '',
    cell: (t) => (t.last_used_at ? <Ago time={t.last_used_at} /> : <span className="dim">never</span>),
  },
  { id: 'expires', label: 'Expires', sort: (t) => t.expires_at ?? '9', cell: (t) => <Expiry at={t.expires_at} /> },
  {
    id: 'do',
    label: 'Change',
    className: 'c-do',
    cell: (t) => <Sure word="Revoke" sure="Really revoke" disabled={busy} onSure={() => revoke(t.id)} />,
  },
]
const tokenKey = (t: Token) => t.id

export function Tokens() {
  const tokens = useTokens()
  const { mutate, isPending, error } = useRevoke()
  const cols = useMemo(() => tokenColumns(mutate, isPending), [mutate, isPending])
  const [making, setMaking] = useState(false)
  return (
    <Section
      title="API tokens"
      note={tokens.data && `${tokens.data.tokens.length}`}
      actions={
        <Button leftSection={!making && <Plus size={14} aria-hidden="true" />} aria-expanded={making} onClick={() => setMaking(!making)}>
          {making ? 'Close' : 'New token'}
        </Button>
      }
    >
      {making && <MakeToken />}
      {error && <Problem error={error} />}
      {tokens.data === undefined ? (
        <Waiting what="tokens" error={tokens.error} />
      ) : (
        <Table
          label="API tokens"
          rows={tokens.data.tokens}
          columns={cols}
          rowKey={tokenKey}
          sort="name"
          param="tokens"
          empty="No API tokens yet. Create one for each program, for example Grafana."
        />
      )}
    </Section>
  )
}

const lives: [string, string][] = [
  ['', 'until it is revoked'],
  ['30', '30 days'],
  ['90', '90 days'],
  ['365', 'a year'],
]

function MakeToken() {
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>('viewer')
  const [days, setDays] = useState('')
  const { mutate, isPending, error, data } = useNewToken()
  return (
    <form
      aria-label="New token"
      className="rule-form making"
      onSubmit={(e) => {
        e.preventDefault()
        const expires = days === '' ? {} : { expires_at: new Date(Date.now() + Number(days) * 86_400_000).toISOString() }
        mutate({ name, role, ...expires }, { onSuccess: () => setName('') })
      }}
    >
      <div className="row">
        <Text label="Name" hint="what it is for" value={name} onChange={setName} required placeholder="grafana" />
        <RoleChoice label="Role" value={role} onChange={setRole} />
        <Pick label="Valid" value={days} onChange={setDays} options={lives} />
      </div>
      {error && <Problem error={error} />}
      <div className="tools">
        <Button type="submit" variant="filled" disabled={isPending}>
          Make token
        </Button>
      </div>
      {data && (
        <div className="secret" role="status">
          <p>
            The token <b>{data.info.name}</b>. It is shown this once: copy it now.
          </p>
          <code>{data.token}</code>
        </div>
      )}
    </form>
  )
}
