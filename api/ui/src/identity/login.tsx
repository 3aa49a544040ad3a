import { useState } from 'react'
import { useEntrance } from '../api/queries'
import { Problem } from '../components/bits'
import { Text } from '../components/text'

/** What is shown to whom the server does not know. */
export function Login() {
  const [username, setUsername] = useState('')
  const [password, setPassword] = useState('')
  const { mutate, isPending, error } = useEntrance()
  return (
    <main id="main" className="login">
      <h1>
        <img src="/favicon.svg" alt="" width="24" height="24" />
        WatchingCat
      </h1>
      <form
        aria-label="Log in"
        onSubmit={(e) => {
          e.preventDefault()
          mutate({ do: 'login', username, password }, { onError: () => setPassword('') })
        }}
      >
        <Text label="Name" value={username} onChange={setUsername} required autoComplete="username" autoFocus />
        <Text label="Password" type="password" value={password} onChange={setPassword} required autoComplete="current-password" />
        {error && <Problem error={error} />}
        <button type="submit" className="button primary" disabled={isPending}>
          Log in
        </button>
      </form>
    </main>
  )
}
