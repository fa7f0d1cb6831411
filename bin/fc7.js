#!/usr/bin/env node
import { existsSync } from 'node:fs'

const built = new URL('../dist/cli/main.js', import.meta.url)
if (!existsSync(built)) {
  process.stderr.write('fc7 is not built yet.\nRun `npm run build` (or `npm ci`, which builds too).\n')
  process.exit(1)
}
process.setSourceMapsEnabled?.(true)
const { main } = await import(built.href)
await main(process.argv.slice(2))
