import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { decodeArrow, textValues } from '../../../src/embeddings/store/arrow.js'
import { tinyModel, writeTinyImages } from '../../support/tiny.js'
import { errorLines, fc7, fc7Warm, type Outcome } from '../run.js'

let root: string
let store: string
let env: Record<string, string>
const run = (...args: string[]): Promise<Outcome> => fc7Warm(args, { env, cwd: root })
const runAlone = (...args: string[]): Promise<Outcome> => fc7(args, { env, cwd: root })

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-compare-'))
  env = { FC7_CACHE: join(root, 'cache') }
  store = join(root, 'store')
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyImages(join(root, 'photos'), { train: 8, test: 6 })
  const made = await run('extract', 'photos', '--model', 'tiny.onnx', '--recipe', 'torchvision', '--out', 'store')
  expect([made.code, made.stderr]).toEqual([0, expect.any(String)])
}, 60_000)
afterAll(() => rm(root, { recursive: true, force: true }))

describe('fc7 compare', () => {
  it('leaves an experiment file that makes the same plan and the same predictions', async () => {
    const first = await runAlone('compare', 'store', '--trainers', 'nearest-mean,knn', '--folds', '3', '--out', 'one')
    expect([first.code, first.stderr]).toEqual([0, expect.any(String)])
    const again = await run('compare', join('one', 'experiment.yaml'), '--out', 'two', '--threads', '1', '--json')
    expect([again.code, again.stderr]).toEqual([0, expect.any(String)])
    for (const name of ['plan.json', 'predictions-d0.arrow', 'items-d0.arrow', 'experiment.yaml'])
      expect([name, (await readFile(join(root, 'two', name))).equals(await readFile(join(root, 'one', name)))]).toEqual(
        [name, true],
      )
    const { provenance } = JSON.parse(again.stdout)
    expect(provenance.experiment).toBe(await readFile(join(root, 'one', 'experiment.yaml'), 'utf8'))
  }, 60_000)

  it('refuses settings beside an experiment file, another store, and unknown trainers before any work', async () => {
    const file = join(root, 'x.yaml')
    const text = (hash: string) =>
      `format: 1\nsources: [{path: store, store: ${hash}}]\ntrainers: [knn]\nout: never\nfolds: 3\n`
    await writeFile(file, text('f'.repeat(64)))
    const beside = await run('compare', 'x.yaml', '--folds', '4')
    expect([beside.code, errorLines(beside)[1]]).toEqual([2, expect.stringContaining('not --folds')])
    const other = await run('compare', 'x.yaml')
    expect([other.code, errorLines(other)[0]]).toEqual([1, expect.stringContaining('not the store')])
    await writeFile(file, 'format: 1\nsources: [nowhere]\ntrainers: [kn]\nout: never\n')
    const unknown = await run('compare', 'x.yaml')
    expect([unknown.code, unknown.stderr]).toEqual([expect.any(Number), expect.stringContaining('kn')])
    expect(unknown.stderr).not.toContain('nowhere')
  }, 60_000)

  it('refuses test images that the backbone was fine-tuned on, by their bytes', async () => {
    const shard = decodeArrow(await readFile(join(store, 'shard-00000.arrow')))
    const splits = textValues(shard, 'split')
    const hashes = textValues(shard, 'sha256')
    const { backbone } = JSON.parse(await readFile(join(store, 'plan.json'), 'utf8'))
    const list = (images: (string | null)[]) =>
      writeFile(
        join(root, 'trained-on.json'),
        JSON.stringify({ format: 1, kind: 'fc7-trained-on', backbone: backbone.sha256, images, ids: [] }),
      )
    const compare = () => run('compare', 'store', '--trained-on', 'trained-on.json', '--out', 'tuned', '--dry-run')
    await list(hashes.filter((_, row) => splits[row] === 'train'))
    expect((await compare()).code).toBe(0)
    await list(hashes.filter((_, row) => splits[row] === 'test').slice(0, 2))
    const refused = await compare()
    expect([refused.code, errorLines(refused)[0]]).toEqual([1, expect.stringContaining('fine-tuned on 2 of the test')])
  }, 60_000)
})
