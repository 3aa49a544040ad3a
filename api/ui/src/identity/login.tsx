import { Button } from '@mantine/core'
import { useState } from 'react'
import { useEntrance, useMe } from '../api/queries'
import { Problem } from '../components/bits'
import { Text } from '../components/text'
import { loginAt } from './login-at'
import './identity.css'

/** Why the identity provider's login came to nothing; the server's log has more. */
const failures: Record<string, string> = {
  refused: 'The identity provider rejected the login.',
  expired: 'The login took too long, or was started in another browser. Log in again.',
  failed: 'The identity provider sent an invalid response. Log in again, or contact an admin.',
  no_role: 'The identity provider assigns you no role in WatchingCat. Contact an admin.',
  unreachable: 'The identity provider cannot be reached. Try again later.',
}

/** The login form, for users without a valid login. */
export default function Login({ ended = false }: { ended?: boolean }) {
  const [username, setUsername] = useState('')
  const [password, setPassword] = useState('')
  const { mutate, isPending, error } = useEntrance()
  const oidc = useMe().data?.oidc ?? false
  const failure = failures[new URLSearchParams(window.location.search).get('login') ?? '']
  return (
    <main id="main" className="login">
      <h1>
        <img src="/favicon.svg" alt="" width="24" height="24" />
        WatchingCat
      </h1>
      {ended && (
        <p className="quiet" role="status">
          Your session has ended. Log in again to continue.
        </p>
      )}
      {failure && <Problem error={failure} />}
      {oidc && (
        <Button component="a" variant="filled" fullWidth href={loginAt(window.location.pathname, window.location.search)}>
          Log in at the identity provider
        </Button>
      )}
      <form
        aria-label="Log in"
        onSubmit={(e) => {
          e.preventDefault()
          mutate({ do: 'login', username, password }, { onError: () => setPassword('') })
        }}
      >
        <Text label="Name" value={username} onChange={setUsername} required autoComplete="username" autoFocus={!oidc} />
        <Text label="Password" type="password" value={password} onChange={setPassword} required autoComplete="current-password" />
        {error && <Problem error={error} />}
        <Button type="submit" variant={oidc ? 'default' : 'filled'} fullWidth disabled={isPending}>
          {oidc ? 'Log in with a password' : 'Log in'}
        </Button>
      </form>
    </main>
  )
}
