import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import sharp from 'sharp'
import { snippets } from '../../support/docs.js'
import { tinyModel, writeTinyImages } from '../../support/tiny.js'
import { fc7, fc7Warm, node } from '../run.js'

let root: string
const run = (...args: string[]) => runBy(fc7Warm, args)
const runBy = async (by: typeof fc7Warm, args: readonly string[]) => {
  const outcome = await by([...args, '--quiet', '--json'], { cwd: root, env: { FC7_CACHE: join(root, 'cache') } })
  return { ...outcome, json: outcome.code === 0 ? JSON.parse(outcome.stdout) : undefined }
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'fc7-bundled-'))
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyImages(join(root, 'photos'), { train: 12, test: 4 })
  // A smooth image: sharp and Pillow resize it alike.
  const ramp = Uint8Array.from({ length: 60 * 45 * 3 }, (_, i) => [160, 90, 60][i % 3]! + Math.floor((i / 3) % 60))
  await sharp(ramp, { raw: { width: 60, height: 45, channels: 3 } })
    .png()
    .toFile(join(root, 'photos/test/red/ramp.png'))
  const store = await run('extract', 'photos', '--model', 'tiny.onnx', '--recipe', 'torchvision', '--out', 'photos.fc7')
  expect(store.json).toMatchObject({ rows: 49 })
}, 60_000)
afterAll(() => rm(root, { recursive: true, force: true }))

/** Cards of the network's name for another file, where nobody gives them. */
const elsewhere = {
  url: { kind: 'url', url: 'https://127.0.0.1:9/tiny.onnx', sha256: 'a'.repeat(64), bytes: 100 },
  npm: {
    kind: 'npm',
    package: 'fc7-nobody-has-this',
    version: '1.0.0',
    integrity: `sha512-${'A'.repeat(86)}==`,
    import: { format: 'tfjs-layers', modelJson: 'model.json', sha256: 'a'.repeat(64) },
  },
}

async function namesakeIsNotFetched(source: object): Promise<void> {
  const path = join(root, 'cache', 'cards', 'tiny.json')
  await mkdir(dirname(path), { recursive: true })
  await writeFile(
    path,
    JSON.stringify({ format: 1, id: 'tiny', title: 'Another one', sources: [source], recipes: ['torchvision'] }),
  )
  const hash = createHash('sha256')
    .update(await readFile(join(root, 'tiny.onnx')))
    .digest('hex')
  for (const args of [
    ['bundle', 'photos.clf', '--out', 'photos.onnx'],
    ['predict', 'photos.clf', 'photos'],
  ]) {
    const { code, stderr } = await run(...args)
    expect([code, stderr]).toEqual([1, expect.stringContaining('has other weights than the one that fc7 knows')])
    expect(stderr).toContain(hash.slice(0, 12))
  }
  // What is amiss with the images is said first.
  const mistyped = await run('predict', 'photos.clf', 'phots')
  expect([mistyped.code, mistyped.stderr]).toEqual([1, expect.stringContaining('no store and no image folder')])
  await rm(path)
}

it('train --onnx, bundle, and the example in docs/bundle.md agree with predict', async () => {
  const trained = await run('train', 'photos.fc7', '--trainer', 'logistic', '--onnx', '--out', 'photos.clf')
  expect(trained.json).toMatchObject({ onnx: join('photos.clf', 'classifier.onnx'), scoreKind: 'probability' })
  expect(await readdir(join(root, 'photos.clf'))).toContain('classifier.onnx')
  const unnamed = await run('bundle', 'photos.clf', '--out', 'photos.onnx')
  expect([unnamed.code, unnamed.stderr]).toEqual([1, expect.stringContaining('is none that fc7 knows by name')])
  expect(unnamed.stderr).toContain('--model')
  for (const source of Object.values(elsewhere)) await namesakeIsNotFetched(source)
  const bundled = await runBy(fc7, ['bundle', 'photos.clf', '--model', 'tiny.onnx', '--out', 'photos.onnx'])
  expect(bundled.json).toMatchObject({
    files: ['photos.onnx'],
    input: { shape: ['N', 32, 32, 3] },
    outputs: ['label', 'probabilities'],
    check: { images: 4 },
  })
  const { json } = await run('predict', 'photos.clf', 'photos.fc7')
  const cat = json.predictions.find(({ path }: { path: string }) => path === 'test/red/ramp.png')
  expect(cat.trainedOn).toBe(false)
  await copyFile(join(root, 'photos', 'test', 'red', 'ramp.png'), join(root, 'cat.jpg'))
  await symlink(fileURLToPath(new URL('../../../node_modules', import.meta.url)), join(root, 'node_modules'))
  const [script] = snippets('bundle.md', 'js')
  for (const example of [script, ...snippets('bundle.md', 'python')])
    expect(example!.trim().split('\n').length).toBeLessThanOrEqual(10)
  await writeFile(join(root, 'example.mjs'), script!.replace('[256, 224]', '[37, 32]'))
  const [label, score] = (await node(['example.mjs'], { cwd: root })).stdout.trim().split(' ')
  expect(label).toBe(cat.predicted)
  expect(Math.abs(Number(score) - cat.top[0].score)).toBeLessThan(0.02)
}, 60_000)

it('predict marks the images it was trained on by their bytes, not by their paths', async () => {
  const out = join(root, 'rows.csv')
  const options = ['--model', 'tiny.onnx', '--out', 'rows.csv']
  const { json } = await run('predict', 'photos.clf', join('photos', 'train'), ...options)
  expect(json).toMatchObject({ rows: 36, trainedOn: 36, accuracy: null })
  expect(await readFile(out, 'utf8')).toMatch(/,yes,/)
  expect((await run('predict', 'photos.clf', join('photos', 'test'), ...options)).json).toMatchObject({
    rows: 13,
    trainedOn: 0,
  })
}, 60_000)
