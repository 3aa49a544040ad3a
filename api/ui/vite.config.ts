import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

// `npm run dev` serves the page from source and passes everything else on to a running WatchingCat.
const server = process.env.WATCHINGCAT_URL ?? 'http://127.0.0.1:8090'
const passed = ['/api', '/prometheus', '/alertmanager', '/health', '/metrics']

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // data: URLs would need a wider content security policy
    chunkSizeWarningLimit: 1000,
  },
  worker: { format: 'es' },
  server: {
    proxy: {
      ...Object.fromEntries(passed.map((p) => [p, server])),
      '/ws': { target: server, ws: true },
    },
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.{ts,tsx}'],
    restoreMocks: true,
    testTimeout: 120_000, // a busy machine is no failure
    hookTimeout: 120_000,
  },
})
