import { build, preview } from 'vite'

/** Builds the catalogue and serves it on a free port of loopback while the tests run. */
export default async function setup(): Promise<() => Promise<void>> {
  const configFile = 'vite.catalogue.config.ts'
  await build({ configFile, logLevel: 'warn' })
  const server = await preview({ configFile, logLevel: 'warn', preview: { host: '127.0.0.1', port: 0 } })
  const address = server.httpServer.address()
  if (typeof address !== 'object' || address === null) throw new Error('the catalogue is not served')
  process.env.CATALOGUE_URL = `http://127.0.0.1:${address.port}`
  return () => server.close()
}
