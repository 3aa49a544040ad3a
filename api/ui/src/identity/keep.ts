import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useMemo } from 'react'
import { sendJSON } from '../api/client'
import { useMe } from '../api/queries'
import type { Me } from '../api/types'
import { serverNow } from '../lib/clock'

/** How long before its end the page announces that a login ends. */
export const warnedFor = 10 * 60_000
const lookEvery = 5_000
const attemptEvery = 30_000

/** When a login that was seen at a moment is to be renewed: halfway to its end, so that a failure leaves time. Undefined: it cannot be. */
export function renewAt(me: Me | undefined, seen: number): number | undefined {
  if (!me?.login || !me.local || me.expires_at === null) return undefined
  return seen + Math.max(0, Date.parse(me.expires_at) - seen) / 2
}

/**
 * What is left of a login in ms where it is to be told: it ends soon, and by itself. One that is renewed ends soon only when that fails,
 * which it has not before it had the chance to.
 */
export function endsIn(me: Me | undefined, now: number): number | undefined {
  if (!me?.login || me.expires_at === null) return undefined
  const left = Date.parse(me.expires_at) - now
  return left > 0 && left <= (me.local ? warnedFor / 10 : warnedFor) ? left : undefined
}

/** Renews the login of a page that stays open. Looking now and then also serves a machine that slept. */
export function useKeepLogin(): void {
  const me = useMe().data
  const queries = useQueryClient()
  const at = useMemo(() => renewAt(me, serverNow()), [me])
  useEffect(() => {
    if (at === undefined) return
    let tried = 0
    const look = setInterval(() => {
      const now = serverNow()
      if (now < at || now - tried < attemptEvery) return
      tried = now
      sendJSON('POST', '/api/v1/auth/refresh').then(
        () => queries.invalidateQueries({ queryKey: ['me'] }),
        () => undefined, // tried again; who is not known any more is asked for a password
      )
    }, lookEvery)
    return () => clearInterval(look)
  }, [at, queries])
}
