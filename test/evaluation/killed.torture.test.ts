import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { fc7 } from '../cli/run.js'
import { tinyModel, writeTinyImages } from '../support/tiny.js'

const bin = fileURLToPath(new URL('../../bin/fc7.js', import.meta.url))
const kills = process.env.FC7_TORTURE === 'sample' ? 5 : 25
let root: string
const settings = ['--trainers', 'linear-svm,logistic,random-forest,knn', '--folds', '4', '--repeats', '3', '--curve']

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-killed-'))
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyImages(join(root, 'photos'), { train: 30, test: 10 })
  const model = ['--model', join(root, 'tiny.onnx'), '--recipe', 'torchvision']
  const made = await fc7(['extract', join(root, 'photos'), ...model, '--out', join(root, 'store')])
  expect([made.code, made.stderr]).toEqual([0, expect.any(String)])
})
afterAll(() => rm(root, { recursive: true, force: true }))

const compare = (out: string): string[] => ['compare', join(root, 'store'), ...settings, '--out', out, '--threads', '2']

/** Starts the comparison and kills it after so many milliseconds; true when it had ended before. */
function killedAfter(out: string, milliseconds: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bin, ...compare(out)], {
      stdio: 'ignore',
      env: { ...process.env, FC7_OFFLINE: '1' },
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), milliseconds)
    child.on('error', reject)
    child.on('exit', (code) => {
      clearTimeout(timer)
      resolve(code === 0)
    })
  })
}

/** Identity of every finished fit: a fit that is done again is another file. */
async function finished(out: string): Promise<Map<string, string>> {
  const names = await readdir(join(out, 'fits')).catch(() => [] as string[])
  const whole = names.filter((name) => /\.json$/.test(name))
  return new Map(
    await Promise.all(
      whole.map(async (name): Promise<[string, string]> => {
        const { ino, mtimeMs } = await stat(join(out, 'fits', name))
        return [name, `${ino} ${mtimeMs}`]
      }),
    ),
  )
}

/** What an evaluation says, without its clock, its memory and the folder it lies in. */
async function figures(out: string): Promise<unknown> {
  const { provenance: _, ...rest } = JSON.parse(await readFile(join(out, 'evaluation.json'), 'utf8'))
  return JSON.parse(JSON.stringify(rest), (key, value) =>
    /^(?:fitMs|tuneMs|predictMs|predictMsPerItem|peakMemoryBytes|timing|facts)$/.test(key) ? undefined : value,
  )
}

describe('a comparison killed at random moments', () => {
  it(`${kills} times, then finished: the same predictions and metrics, no finished fit repeated`, async () => {
    const reference = join(root, 'reference')
    const started = performance.now()
    const whole = await fc7(compare(reference))
    expect([whole.code, whole.stderr]).toEqual([0, expect.any(String)])
    const duration = performance.now() - started
    const fits = (await finished(reference)).size
    expect(fits).toBe(4 * (4 * 3 + 4 * 4))

    const random = createRandom('torture')
    let out = join(root, 'killed-0')
    let before = new Map<string, string>()
    let interrupted = 0
    let ended = 0
    while (interrupted < kills) {
      // From right after the start until shortly before the end, in the uninterrupted run's time.
      const done = await killedAfter(out, 150 + random.next() * duration * 0.8)
      const after = await finished(out)
      for (const [name, identity] of before) expect([name, after.get(name)]).toEqual([name, identity])
      before = after
      if (!done) {
        interrupted++
        continue
      }
      ended++
      expect(await figures(out)).toEqual(await figures(reference))
      out = join(root, `killed-${ended}`)
      before = new Map()
    }
    const last = await fc7(compare(out))
    expect([last.code, last.stderr]).toEqual([0, expect.any(String)])
    const after = await finished(out)
    expect(after.size).toBe(fits)
    for (const [name, identity] of before) expect([name, after.get(name)]).toEqual([name, identity])
    for (const name of ['plan.json', 'predictions-d0.arrow', 'items-d0.arrow'])
      expect((await readFile(join(out, name))).equals(await readFile(join(reference, name)))).toBe(true)
    expect(await figures(out)).toEqual(await figures(reference))
    // Nothing half-written is left.
    for (const folder of [out, join(out, 'fits')])
      expect((await readdir(folder)).filter((name) => name.includes('.tmp'))).toEqual([])
  })
})
