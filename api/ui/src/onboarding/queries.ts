import { useQuery } from '@tanstack/react-query'
import { getJSON } from '../api/client'
import { useEvery } from '../api/queries'
import type { Onboarding } from '../api/types'

/** What has arrived, and how a Collector reaches the topics. */
export function useOnboarding(enabled = true) {
  return useQuery({
    queryKey: ['onboarding'],
    queryFn: ({ signal }) => getJSON<Onboarding>('/api/v1/onboarding', {}, signal),
    refetchInterval: useEvery(2_000),
    enabled,
  })
}
