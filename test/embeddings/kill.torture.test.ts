import { execFileSync, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { errorLines, fc7 } from '../cli/run.js'
import { tinyModel, writeTinyImages } from '../support/tiny.js'

const kills = process.env.FC7_TORTURE === 'sample' ? 5 : 20
const bin = fileURLToPath(new URL('../../bin/fc7.js', import.meta.url))

let root: string
let env: Record<string, string>
let args: (out: string) => string[]
let uninterrupted: Map<string, string>

/** Everything but run.jsonl, the one file that differs between equal runs, and what is still under a temporary name. */
async function contents(store: string): Promise<Map<string, string>> {
  const names = (await readdir(store)).filter((name) => name !== 'run.jsonl' && !name.endsWith('.tmp')).sort()
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, (await readFile(join(store, name))).toString('base64')] as const),
    ),
  )
}

/** Starts the command and kills it after the given time; resolves when it is gone. */
function killAfter(milliseconds: number, out: string): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [bin, ...args(out)], { env: { ...process.env, ...env }, stdio: 'ignore' })
    const timer = setTimeout(() => child.kill('SIGKILL'), milliseconds)
    child.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

const commitTimes = async (store: string): Promise<Map<string, number>> => {
  const names = (await readdir(store).catch(() => [] as string[])).filter((name) => /^shard-\d+\.json$/.test(name))
  return new Map(await Promise.all(names.map(async (name) => [name, (await stat(join(store, name))).mtimeMs] as const)))
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-kill-'))
  env = { FC7_CACHE: join(root, 'cache'), FC7_OFFLINE: '1' }
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyImages(join(root, 'photos'), { train: 200, test: 0 })
  args = (out) => [
    'extract',
    join(root, 'photos'),
    '--model',
    join(root, 'tiny.onnx'),
    '--recipe',
    'torchvision',
    '--batch-size',
    '4',
    '--shard-size',
    '20',
    '--provider',
    'cpu',
    '--out',
    out,
  ]
  const whole = await fc7(args(join(root, 'whole')), { env })
  expect(whole.code).toBe(0)
  uninterrupted = await contents(join(root, 'whole'))
}, 120_000)
afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('extraction under attack', () => {
  it(`killed at ${kills} random moments and rerun: the bytes of an uninterrupted run, no finished shard computed twice`, async () => {
    const random = createRandom('kill')
    const out = join(root, 'killed')
    let done = new Map<string, number>()
    for (let i = 0; i < kills; i++) {
      await killAfter(500 + random.int(1200), out)
      const now = await commitTimes(out)
      // A commit file that was there stands untouched: its shard was not computed again.
      for (const [name, time] of done) expect([name, now.get(name)]).toEqual([name, time])
      done = now
      if (now.size === 30) {
        await rm(out, { recursive: true })
        done = new Map()
      }
    }
    expect((await fc7(args(out), { env })).code).toBe(0)
    expect(await contents(out)).toEqual(uninterrupted)
  }, 300_000)

  it('four processes with --shards 4 --shard i into one folder give the store of one process', async () => {
    const out = join(root, 'parts')
    const outcomes = await Promise.all(
      [0, 1, 2, 3].map((shard) => fc7([...args(out), '--shards', '4', '--shard', String(shard)], { env })),
    )
    expect(outcomes.map((outcome) => outcome.code)).toEqual([0, 0, 0, 0])
    // Whoever ends last writes the manifest; should two have ended at once, a last call finds it written.
    expect(await contents(out)).toEqual(uninterrupted)
  }, 120_000)

  it('a disk that fills up, and one that is read-only: a clear error, nothing corrupt, and the rest once there is space', async () => {
    const disk = join(root, 'disk')
    const mount = (...options: string[]): void => void execFileSync('mount', ['-t', 'tmpfs', ...options, 'tmpfs', disk])
    await mkdir(disk)
    mount('-o', 'size=100k')
    try {
      const out = join(disk, 'store')
      const full = await fc7(args(out), { env })
      expect([full.code, errorLines(full)[0]]).toEqual([1, expect.stringContaining('The disk is full')])
      for (const [name, bytes] of await contents(out)) expect([name, bytes]).toEqual([name, uninterrupted.get(name)])
      mount('-o', 'remount,ro')
      const readOnly = await fc7(args(join(disk, 'other')), { env })
      expect([readOnly.code, errorLines(readOnly)[0]]).toEqual([1, expect.stringContaining('read-only')])
      mount('-o', 'remount,rw,size=10m')
      expect((await fc7(args(out), { env })).code).toBe(0)
      expect(await contents(out)).toEqual(uninterrupted)
    } finally {
      execFileSync('umount', [disk])
    }
  }, 60_000)
})
