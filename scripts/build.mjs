// Compiles src/ to dist/ when a source is newer than the last build. Does nothing in a packed package (no src/ there).
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const stamp = join(root, 'dist', '.built')
const newest = (dir) =>
  readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((time, entry) => Math.max(time, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0)

const src = join(root, 'src')
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
if (existsSync(src) && existsSync(tsc)) {
  const built = existsSync(stamp) ? statSync(stamp).mtimeMs : 0
  const changed = Math.max(newest(src), statSync(join(root, 'tsconfig.json')).mtimeMs) > built
  if (changed || process.argv.includes('--force')) {
    if (process.argv.includes('--force')) rmSync(join(root, 'dist'), { recursive: true, force: true })
    const startedMs = Date.now()
    const run = spawnSync(process.execPath, [tsc, '-p', root], { stdio: 'inherit' })
    if (run.status !== 0) process.exit(run.status ?? 1)
    // The stamp carries the time at which the build began: a source saved while it ran counts as newer.
    writeFileSync(stamp, `${startedMs}\n`)
    const { utimesSync } = await import('node:fs')
    utimesSync(stamp, startedMs / 1000, startedMs / 1000)
  }
}
