import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { getJSON, sendJSON } from '../api/client'
import { useEvery } from '../api/queries'
import type { SLO, SLOBudget, SLOInput, SLOList } from '../api/types'

export function useSLOs() {
  return useQuery({
    queryKey: ['slos'],
    queryFn: ({ signal }) => getJSON<SLOList>('/api/v1/slos', {}, signal),
    refetchInterval: useEvery(5_000),
  })
}

export function useSLO(id: string) {
  return useQuery({
    queryKey: ['slos', id],
    queryFn: ({ signal }) => getJSON<SLO>(`/api/v1/slos/${encodeURIComponent(id)}`, {}, signal),
    refetchInterval: useEvery(5_000),
    retry: false,
  })
}

/** How a budget was spent over its window. */
export function useSLOBudget(id: string) {
  return useQuery({
    queryKey: ['slos', id, 'budget'],
    queryFn: ({ signal }) => getJSON<SLOBudget>(`/api/v1/slos/${encodeURIComponent(id)}/budget`, {}, signal),
    refetchInterval: useEvery(15_000),
    retry: false,
  })
}

export type SLOAction = { do: 'create'; slo: SLOInput } | { do: 'update'; id: string; slo: SLOInput } | { do: 'delete'; id: string }

export function useSLOAction() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (a: SLOAction) => {
      if (a.do === 'create') return sendJSON<SLO | undefined>('POST', '/api/v1/slos', a.slo)
      const path = `/api/v1/slos/${encodeURIComponent(a.id)}`
      return a.do === 'update' ? sendJSON<SLO | undefined>('PUT', path, a.slo) : sendJSON<SLO | undefined>('DELETE', path)
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['slos'] }),
  })
}
