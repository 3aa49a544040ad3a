// Runs after the build: writes a .gz beside each text asset, which the server sends to browsers that take it, and fails when
// what the first page loads is larger than the budget.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const budget = 250 * 1024
const sizes = new Map()
for (const name of readdirSync('dist/assets')) {
  if (!/\.(js|css)$/.test(name)) continue
  const packed = gzipSync(readFileSync(join('dist/assets', name)), { level: 9 })
  packed[9] = 255 // operating system "unknown", so that the same input gives the same bytes everywhere
  writeFileSync(join('dist/assets', `${name}.gz`), packed)
  sizes.set(name, packed.length)
}
const html = readFileSync('dist/index.html', 'utf8')
const first = [...html.matchAll(/(?:src|href)="\/assets\/([^"]+\.(?:js|css))"/g)].map((m) => m[1])
const total = first.reduce((sum, name) => sum + sizes.get(name), 0)
for (const [name, size] of sizes)
  console.log(`${first.includes(name) ? 'first' : 'lazy '} ${(size / 1024).toFixed(1).padStart(7)} KB gzip  ${name}`)
console.log(`first load ${(total / 1024).toFixed(1)} KB of ${budget / 1024} KB`)
if (total > budget) {
  console.error('the first load is over its budget')
  process.exit(1)
}
if (/<script(?![^>]*\bsrc=)|<style|\bstyle="/.test(html)) {
  console.error('index.html holds inline script or style, which the content security policy forbids')
  process.exit(1)
}
