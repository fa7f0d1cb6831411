// Runs one suite: `node scripts/jest.mjs test|shared|browser|torture|parity [jest options]`. Every suite gets a cache folder
// of its own, so that tests never touch the user's cache.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const [suite = 'test', ...rest] = process.argv.slice(2)
const cache = process.env.FC7_TEST_CACHE ?? mkdtempSync(join(tmpdir(), 'fc7-test-'))
const run = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--no-warnings',
    '--enable-source-maps',
    join(root, 'node_modules', 'jest', 'bin', 'jest.js'),
    ...rest,
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, FC7_SUITE: suite, FC7_CACHE: cache } },
)
if (!process.env.FC7_TEST_CACHE) rmSync(cache, { recursive: true, force: true })
process.exit(run.status ?? 1)
