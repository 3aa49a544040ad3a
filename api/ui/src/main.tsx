import './styles/index.css'
import { MantineProvider } from '@mantine/core'
import { hashKey, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { type ApiError, getJSON, strangers } from './api/client'
import { App } from './app'
import { chosenDimensions } from './lib/dimensions'
import { pathOfHash } from './lib/links'
import { LiveClient } from './live/client'
import { LiveContext } from './live/use-live'
import { theme } from './styles/theme'

/** Keys of what is the same whatever the page is narrowed to. */
const everywhere = new Set<unknown>(['me', 'config', 'dimensions'])
const queries = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (failures, error) => failures < 2 && !((error as ApiError).status >= 400 && (error as ApiError).status < 500),
      refetchOnWindowFocus: true,
      // what is narrowed is something else than the whole
      queryKeyHashFn: (key) => hashKey(everywhere.has(key[0]) ? key : [chosenDimensions(), ...key]),
    },
  },
})
const live = new LiveClient({
  url: `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/ws`,
  get: getJSON,
  ended: () => strangers.dispatchEvent(new Event('met')),
})

// A page that no one sees for a while costs nothing. A glance at another tab changes nothing.
let leaving: ReturnType<typeof setTimeout> | undefined
document.addEventListener('visibilitychange', () => {
  clearTimeout(leaving)
  if (document.hidden) leaving = setTimeout(() => live.setAway(true), 5_000)
  else live.setAway(false)
})

// Before anything reads the path: a login elsewhere keeps the path and the query, not the hash.
const linked = pathOfHash(location.hash)
if (linked !== undefined) history.replaceState(null, '', linked)

const root = document.getElementById('root')
if (root === null) throw new Error('index.html has no #root')
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
      <QueryClientProvider client={queries}>
        <LiveContext value={live}>
          <App />
        </LiveContext>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
)
