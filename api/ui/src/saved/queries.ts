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
  | { do: 'update'; id: string; view: SavedViewInput }
  | { do: 'delete'; id: string }

export function useViewAction() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (a: ViewAction) => {
      if (a.do === 'create') return sendJSON<SavedView | undefined>('POST', '/api/v1/saved-views', a.view)
      const path = `/api/v1/saved-views/${encodeURIComponent(a.id)}`
      return a.do === 'update' ? sendJSON<SavedView | undefined>('PUT', path, a.view) : sendJSON<SavedView | undefined>('DELETE', path)
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['saved views'] }),
  })
}
