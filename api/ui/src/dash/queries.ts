import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { getJSON, getTagged, sendJSON } from '../api/client'
import { useEvery } from '../api/queries'
import type { ConvertedDashboard, Dashboard, DashboardInput, DashboardList } from '../api/types'

const pathOf = (id: string) => `/api/v1/dashboards/${encodeURIComponent(id)}`

export const dashboardPath = (id: string): string => `/dashboards/${encodeURIComponent(id)}`

export function useDashboards(enabled = true) {
  return useQuery({
    queryKey: ['dashboards'],
    queryFn: ({ signal }) => getJSON<DashboardList>('/api/v1/dashboards', {}, signal),
    refetchInterval: useEvery(30_000),
    enabled,
  })
}

/** One dashboard, with the tag of its version. */
export function useDashboard(id: string) {
  return useQuery({
    queryKey: ['dashboards', id],
    queryFn: ({ signal }) => getTagged<Dashboard>(pathOf(id), signal),
    retry: false,
  })
}

/** What a dashboard is made of, without what the server adds. */
export function inputOf({ title, description, variables, panels }: DashboardInput): DashboardInput {
  return { title, ...(description ? { description } : {}), variables: variables ?? [], panels: panels ?? [] }
}

export type DashboardAction =
  | { do: 'create'; dashboard: DashboardInput }
  | { do: 'update'; id: string; dashboard: DashboardInput; tag: string }
  | { do: 'append'; id: string; panel: NonNullable<DashboardInput['panels']>[number] }
  | { do: 'delete'; id: string }

async function act(a: DashboardAction): Promise<Dashboard | undefined> {
  switch (a.do) {
    case 'create':
      return sendJSON('POST', '/api/v1/dashboards', inputOf(a.dashboard))
    case 'update':
      return sendJSON('PUT', pathOf(a.id), inputOf(a.dashboard), undefined, { 'If-Match': a.tag })
    case 'append': {
      const { body, tag } = await getTagged<Dashboard>(pathOf(a.id))
      const dashboard = inputOf({ ...body, panels: [...body.panels, a.panel] })
      return sendJSON('PUT', pathOf(a.id), dashboard, undefined, { 'If-Match': tag })
    }
    case 'delete':
      return sendJSON('DELETE', pathOf(a.id))
  }
}

export function useDashboardAction() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: act,
    onSettled: () => queries.invalidateQueries({ queryKey: ['dashboards'] }),
  })
}

export const convert = (grafana: unknown): Promise<ConvertedDashboard> =>
  sendJSON<ConvertedDashboard>('POST', '/api/v1/dashboards/convert', grafana)
