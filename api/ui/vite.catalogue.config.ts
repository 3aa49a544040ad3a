import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** The catalogue of components: an entry of its own, which is not part of what is shipped. `npm run catalogue` serves it from source. */
export default defineConfig({
  root: 'catalogue',
  publicDir: '../public',
  plugins: [react()],
  cacheDir: '../node_modules/.vite-catalogue',
  build: {
    outDir: '../node_modules/.catalogue',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
  },
  worker: { format: 'es' },
})
