import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { getJSON, sendJSON } from '../api/client'
import type { SavedView, SavedViewInput, SavedViewList } from '../api/types'

export function useSavedViews(enabled = true) {
  return useQuery({
    queryKey: ['saved views'],
    queryFn: ({ signal }) => getJSON<SavedViewList>('/api/v1/saved-views', {}, signal),
    enabled,
  })
}

export type ViewAction =
  | { do: 'create'; view: SavedViewInput }
  | { do: 'update'; old: SavedView; view: SavedViewInput }
  | { do: 'delete'; old: SavedView }

export function useViewAction() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (a: ViewAction) => {
      if (a.do === 'create') return sendJSON<SavedView | undefined>('POST', '/api/v1/saved-views', a.view)
      const path = `/api/v1/saved-views/${encodeURIComponent(a.old.id)}`
      const [method, body] = a.do === 'update' ? (['PUT', a.view] as const) : (['DELETE', undefined] as const)
      return sendJSON<SavedView | undefined>(method, path, body, undefined, { 'If-Match': a.old.etag })
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['saved views'] }),
  })
}
