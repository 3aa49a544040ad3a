import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { useState } from 'react'
import { IncidentCard } from '../src/incident/card'
import { Comments, Earlier, Members, NewInLogs, Notified, Traces } from '../src/incident/side'
import { Strip } from '../src/incident/strip'
import { Where } from '../src/incident/where'
import { incident, list, resolved, rulesOf, slosOf } from './answers'

export function IncidentOpen() {
  return (
    <>
      <IncidentCard unhealthy={3} />
      <Strip incident={incident} />
      <Where incident={incident} />
      <div className="catalogue-grid">
        <div className="card">
          <Traces incident={incident} />
        </div>
        <div className="card">
          <NewInLogs incident={incident} />
        </div>
        <div className="card">
          <Notified incident={incident} />
        </div>
        <div className="card">
          <Earlier incident={incident} />
        </div>
      </div>
      <div className="card">
        <Members incident={incident} />
      </div>
      <Comments incident={incident} />
    </>
  )
}

interface Calm {
  words: string
  recent: number
  rules: number
  unhealthy: number
}

const calm: Calm[] = [
  { words: 'rules, and incidents that were resolved', recent: 3, rules: 3, unhealthy: 0 },
  { words: 'a service that is unhealthy by its numbers', recent: 1, rules: 3, unhealthy: 1 },
  { words: 'no incident so far', recent: 0, rules: 3, unhealthy: 0 },
  { words: 'no rules', recent: 0, rules: 0, unhealthy: 2 },
]

/** A card with answers of its own. */
function Of({ recent, rules, unhealthy }: Calm) {
  const [queries] = useState(() => {
    const q = new QueryClient({ defaultOptions: { queries: { retry: false, staleTime: Number.POSITIVE_INFINITY } } })
    q.setQueryData(['incidents', { state: 'open', limit: 20 }], list([]))
    q.setQueryData(['incidents', { state: 'resolved', limit: 5 }], list(resolved.slice(0, recent)))
    q.setQueryData(['rules'], rulesOf(rules))
    q.setQueryData(['slos'], slosOf(rules === 0 ? [] : [0.42, 0.981]))
    return q
  })
  return (
    <QueryClientProvider client={queries}>
      <IncidentCard unhealthy={unhealthy} />
    </QueryClientProvider>
  )
}

export function CalmCard() {
  return calm.map((c) => (
    <div key={c.words}>
      <p className="dim">{c.words}</p>
      <Of {...c} />
    </div>
  ))
}
