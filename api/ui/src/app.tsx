import { useQueryClient } from '@tanstack/react-query'
import { lazy, Suspense, useEffect, useRef } from 'react'
import { strangers } from './api/client'
import { useMe } from './api/queries'
import { Waiting } from './components/bits'
import { chooseDimensions, useDimensions } from './lib/dimensions'
import { stubborn } from './lib/lazy'
import { Frame } from './shell/frame'
import './shell/shell.css'

const Login = lazy(() => stubborn(() => import('./identity/login')))

/** The pages for a user who is logged in, the login form otherwise. */
export function App() {
  chooseDimensions(useDimensions()) // before anything below asks
  const me = useMe()
  const queries = useQueryClient()
  useEffect(() => {
    const again = () => void queries.invalidateQueries({ queryKey: ['me'] })
    strangers.addEventListener('met', again)
    return () => strangers.removeEventListener('met', again)
  }, [queries])
  const known = useRef(false)
  if (me.isPending) return <Waiting what="WatchingCat" />
  if (me.data?.authentication && me.data.name === null) {
    if (queries.getQueryData(['me', 'left']) === true) known.current = false
    return (
      <Suspense fallback={<Waiting what="the login" />}>
        <Login ended={known.current} />
      </Suspense>
    )
  }
  known.current = true
  return <Frame />
}
