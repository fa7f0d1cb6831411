import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { importBackbone } from '../../src/backbones/import.js'
import { loadCards } from '../../src/backbones/library.js'
import { resolveBackbone } from '../../src/backbones/resolve.js'
import { decodeModel } from '../../src/onnx/read.js'
import { writeModel } from '../../src/onnx/write.js'
import { fc7, fc7Warm } from '../cli/run.js'
import { tinyModel } from '../support/tiny.js'

let folder: string
let cacheFolder: string
let model: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-import-'))
  model = join(folder, 'mine.onnx')
  await writeFile(model, tinyModel())
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})
beforeEach(() => {
  cacheFolder = join(folder, `cache-${Math.floor(performance.now() * 1000)}`)
})

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'fine',
    (error: { code: string }) => error.code,
  )

/** Keras' topology of a Conv2D and a Dense, and its weights: what TensorFlow.js writes. */
async function writeTfjs(into: string): Promise<void> {
  const specs = [
    { name: 'conv/kernel', shape: [3, 3, 3, 4], dtype: 'float32' },
    { name: 'conv/bias', shape: [4], dtype: 'float32' },
    { name: 'scores/kernel', shape: [4, 2], dtype: 'float32' },
    { name: 'scores/bias', shape: [2], dtype: 'float32' },
  ]
  const count = specs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
  const layer = (class_name: string, name: string, config: object): object => ({
    class_name,
    config: { name, ...config },
  })
  await writeFile(join(into, 'group1-shard1of1.bin'), new Uint8Array(new Float32Array(count).fill(0.1).buffer))
  await writeFile(
    join(into, 'model.json'),
    JSON.stringify({
      format: 'layers-model',
      modelTopology: {
        class_name: 'Sequential',
        config: [
          layer('Conv2D', 'conv', { filters: 4, kernel_size: [3, 3], batch_input_shape: [null, 8, 8, 3] }),
          layer('GlobalAveragePooling2D', 'pool', {}),
          layer('Dense', 'scores', { units: 2 }),
        ],
      },
      weightsManifest: [{ paths: ['group1-shard1of1.bin'], weights: specs }],
    }),
  )
}

describe('models import', () => {
  it('writes a card of a few lines, by which the model is then found by name and by file', async () => {
    const imported = await importBackbone({ path: model, id: 'mine', recipeName: 'torchvision', cacheFolder })
    expect(imported).toMatchObject({ path: model, defaultLayer: { name: 'relu7', shape: ['N', 24] } })
    const card = JSON.parse(await readFile(join(cacheFolder, 'cards', 'mine.json'), 'utf8'))
    expect(card).toEqual({
      format: 1,
      id: 'mine',
      title: 'mine.onnx',
      sources: [{ kind: 'file', path: model, sha256: imported.sha256 }],
      input: { name: 'data', layout: 'NCHW', width: 32, height: 32 },
      recipes: ['torchvision'],
      layers: [],
    })
    const byName = await resolveBackbone('mine', { cacheFolder })
    expect(byName).toMatchObject({ id: 'mine', recipe: { name: 'torchvision' }, weights: { path: model } })
    expect((await resolveBackbone(model, { cacheFolder })).id).toBe('mine')
  })

  it('never guesses a recipe, and refuses a taken or impossible id', async () => {
    const request = { path: model, id: 'mine', cacheFolder }
    expect(await codeOf(importBackbone(request))).toBe('MODEL_NO_RECIPE')
    expect(await codeOf(importBackbone({ ...request, recipeName: 'magic' }))).toBe('RECIPE_UNKNOWN')
    for (const id of ['resnet50', 'alexnet']) {
      expect(await codeOf(importBackbone({ ...request, id, recipeName: 'caffe', force: true }))).toBe('MODEL_ID_TAKEN')
    }
    for (const id of ['../up', 'a/b', '', '-x', 'mine.onnx']) {
      expect(await codeOf(importBackbone({ ...request, id, recipeName: 'caffe' }))).toBe('USAGE_MODEL_ID')
    }
    // Nothing of this left a trace.
    expect(await readdir(cacheFolder).catch(() => [])).toEqual([])
    await importBackbone({ ...request, recipeName: 'caffe' })
    expect(await codeOf(importBackbone({ ...request, recipeName: 'keras-tf' }))).toBe('MODEL_ID_TAKEN')
    await importBackbone({ ...request, recipeName: 'keras-tf', force: true })
    expect((await resolveBackbone('mine', { cacheFolder })).recipe.name).toBe('keras-tf')
  })

  it('needs no recipe where a known card describes exactly this file', async () => {
    await importBackbone({ path: model, id: 'first', recipeName: 'keras-tf', cacheFolder })
    const second = await importBackbone({ path: model, id: 'second', cacheFolder })
    expect(second.card.recipes).toEqual(['keras-tf'])
  })

  it('converts a TensorFlow.js folder into the cache, which may then be moved', async () => {
    const source = await mkdtemp(join(folder, 'tfjs-'))
    await writeTfjs(source)
    const imported = await importBackbone({ path: source, id: 'keras', recipeName: 'keras-tf', cacheFolder })
    expect(imported.path).toBe(join(cacheFolder, 'models', 'keras', 'keras.onnx'))
    expect(imported.defaultLayer).toEqual({ name: 'pool', shape: ['N', 4, 1, 1] })
    expect(imported.card.sources).toMatchObject([{ kind: 'file', path: '../models/keras/keras.onnx' }])
    await rm(source, { recursive: true })
    expect((await resolveBackbone('keras', { cacheFolder })).weights?.path).toBe(imported.path)
  })

  it('keeps a model whole whose weights lie beside it, and tells other weights from these', async () => {
    const external = join(folder, 'outside.onnx')
    const written = await writeModel(decodeModel(tinyModel()), external, { weights: 'external' })
    expect(written).toHaveLength(2)
    const plain = await resolveBackbone(external, { cacheFolder, recipeName: 'caffe' })
    const imported = await importBackbone({ path: external, id: 'outside', recipeName: 'caffe', cacheFolder })
    expect(imported.path).toBe(join(cacheFolder, 'models', 'outside', 'outside.onnx'))
    const data = await readFile(written[1]!)
    data[100] = data[100]! ^ 1
    await writeFile(written[1]!, data)
    const changed = await resolveBackbone(external, { cacheFolder, recipeName: 'caffe' })
    expect(changed.weights!.sha256).not.toBe(plain.weights!.sha256)
  })

  it('a file changed after its import is refused, and a broken card hides no other', async () => {
    const copy = join(folder, 'copy.onnx')
    await writeFile(copy, tinyModel())
    await importBackbone({ path: copy, id: 'copy', recipeName: 'caffe', cacheFolder })
    await writeFile(copy, 'something else')
    expect((await resolveBackbone('copy', { cacheFolder })).weights).toBeUndefined()
    await writeFile(join(cacheFolder, 'cards', 'broken.json'), '{"format": 1}')
    const { cards, broken } = await loadCards(cacheFolder)
    expect(cards.map(({ card }) => card.id)).toContain('copy')
    expect(broken).toMatchObject([{ code: 'MODEL_CARD_BROKEN' }])
  })

  it('through the command: import, list, layers, and an error of two lines', async () => {
    const env = { FC7_CACHE: cacheFolder }
    const refused = await fc7Warm(['models', 'import', model, '--id', 'mine'], { env })
    expect(refused.code).toBe(1)
    expect(refused.stderr.trim().split('\n')).toEqual([
      expect.stringContaining('is not known'),
      expect.stringContaining('--recipe'),
    ])
    expect((await fc7Warm(['models', 'import', model], { env })).code).toBe(2)
    const imported = await fc7(['models', 'import', model, '--id', 'mine', '--recipe', 'caffe', '--json'], { env })
    expect(imported.code).toBe(0)
    expect(JSON.parse(imported.stdout)).toMatchObject({ id: 'mine', defaultLayer: { name: 'relu7' } })
    const listed = JSON.parse((await fc7Warm(['models', 'list', '--json'], { env })).stdout)
    expect(listed).toContainEqual(expect.objectContaining({ id: 'mine', own: true, cached: true }))
    const layers = JSON.parse((await fc7Warm(['models', 'layers', 'mine', '--json'], { env })).stdout)
    expect(layers.map(({ tensor, kind }: Record<string, string>) => [tensor, kind])).toEqual([
      ['conv1', 'conv'],
      ['relu1', 'relu'],
      ['conv2', 'conv'],
      ['relu2', 'relu'],
      ['fc7', 'dense'],
      ['relu7', 'relu'],
      ['fc8', 'dense'],
      ['prob', 'softmax'],
    ])
  })
})
