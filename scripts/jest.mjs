// Runs one suite: `node scripts/jest.mjs test|shared|browser|torture|parity [jest options]`. Every suite gets a cache
// folder of its own, so that tests never touch the user's cache. Ends with one plain line of counts.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const [suite = 'test', ...rest] = process.argv.slice(2)
const scratch = mkdtempSync(join(tmpdir(), 'fc7-test-'))
const results = join(scratch, 'results.json')
const run = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--no-warnings',
    '--enable-source-maps',
    join(root, 'node_modules', 'jest', 'bin', 'jest.js'),
    // Threads of onnxruntime outlive their sessions, and jest would wait for them.
    '--forceExit',
    '--json',
    `--outputFile=${results}`,
    ...rest,
  ],
  {
    cwd: root,
    // --json also prints the results; they are wanted in the file only, and jest's own report goes to stderr.
    stdio: ['inherit', 'ignore', 'inherit'],
    env: { ...process.env, FC7_SUITE: suite, FC7_CACHE: process.env.FC7_TEST_CACHE ?? join(scratch, 'cache') },
  },
)
try {
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(results, 'utf8'))
  console.log(`${suite}: ${numPassedTests} passed, ${numFailedTests} failed`)
} catch {
  console.error(`${suite}: jest ended without results`)
}
rmSync(scratch, { recursive: true, force: true })
process.exit(run.status ?? 1)
