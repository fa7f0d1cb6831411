import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { recipeOf } from '../../src/backbones/card.js'
import { buildExtractionGraph } from '../../src/backbones/extraction.js'
import { layerName, listLayers } from '../../src/backbones/layers.js'
import { loadCard } from '../../src/backbones/library.js'
import { prepareBackbone } from '../../src/backbones/prepare.js'
import { createRandom } from '../../src/base/random.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { withRandomWeights } from '../../src/onnx/random-weights.js'
import { readModel } from '../../src/onnx/read.js'
import { writeModel } from '../../src/onnx/write.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import { defaultLayers } from './default-layers.js'

const models = join(resolve(process.env.FC7_SHARED ?? '../shared'), 'models')
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-topologies-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

const networks = defaultLayers.flatMap((row) => ('shared' in row.graph ? [{ ...row, file: row.graph.shared }] : []))
/** Their size says little that the others do not: VGG's and ResNet-50's light models run above. */
const listedOnly = ['vgg16', 'vgg16-bn', 'resnet50-v1']
/** What runs: two cards may describe the same file, which is run once; and networks written out in topologies.ts. */
const run = [
  ...networks
    .filter(({ file }, i) => networks.findIndex((other) => other.file === file) === i)
    .map((row) => ({ ...row, read: () => readModel(join(models, row.file)) })),
  ...defaultLayers
    .flatMap((row) =>
      'built' in row.graph && !listedOnly.includes(row.card) ? [{ ...row, built: row.graph.built }] : [],
    )
    .map((row) => ({ ...row, file: `topologies/${row.card}, written out`, read: async () => row.built() })),
]

describe.each(networks)('$file, as $card', ({ card: id, file, layer, dim }) => {
  it('lists its layers in order, the card’s aliases among them, and marks the default', async () => {
    const card = await loadCard(id)
    const backbone = prepareBackbone(await readModel(join(models, file)), { layout: card.input?.layout })
    const layers = listLayers(backbone, card)
    expect(layers.length).toBeGreaterThan(20)
    for (const { shape, kind } of layers) {
      expect(shape.every((n, i) => (i === 0 ? n === 'N' : typeof n === 'number' && n > 0))).toBe(true)
      expect(typeof kind).toBe('string')
    }
    const order = backbone.graph.node.flatMap(({ output }) => output)
    const places = layers.map(({ tensor }) => order.indexOf(tensor))
    expect(places).toEqual([...places].sort((a, b) => a - b))
    expect(layers.filter(({ isDefault }) => isDefault).map(layerName)).toEqual([layer])
    const [chosen] = layers.filter(({ isDefault }) => isDefault)
    expect(chosen!.shape[1]).toBe(dim)
    const named = layers.flatMap(({ aliases }) => aliases)
    expect(card.layers.map(({ alias }) => alias).filter((alias) => !named.includes(alias))).toEqual([])
  })
})

const rows = 7
const batches = [1, rows, 32]

describe.each(run)('$file cut at $layer', ({ card: id, file, layer, dim, read }) => {
  it(`runs at batch ${batches.join(', ')}; every row equals the single run to 1e-5`, async () => {
    const card = await loadCard(id)
    const light = file.startsWith('topologies/')
    const original = await read()
    const model = light ? withRandomWeights(original, file) : original
    const { width = 224, height = 224 } = prepareBackbone(original, { layout: card.input?.layout }).input
    const size = { width, height }
    const fits = width === card.input?.width
    const recipe = fits ? recipeOf(card, size).recipe : namedRecipe('caffe', size)
    const built = buildExtractionGraph(model, { recipe, card: fits ? card : { layers: card.layers } })
    expect(built.layers).toMatchObject([{ layer, dim }])
    const path = join(folder, 'graph.onnx')
    await writeModel(built.model, path)
    const session = await openSession(path, { threads: 2 })
    try {
      const random = createRandom(file)
      const bytes = width * height * 3
      const pixels = new Uint8Array(32 * bytes)
      for (let i = 0; i < rows * bytes; i++) pixels[i] = random.int(256)
      // The batch of 32 repeats the seven images, so that seven single runs answer for all of its rows.
      for (let row = rows; row < 32; row++)
        pixels.copyWithin(row * bytes, (row % rows) * bytes, ((row % rows) + 1) * bytes)
      const extract = async (from: number, count: number): Promise<Float32Array> => {
        const data = pixels.slice(from * bytes, (from + count) * bytes)
        const input = new (loadOrt().Tensor)('uint8', data, [count, height, width, 3])
        const result = await session.run({ pixels: input })
        const output = result[built.layers[0]!.output]!
        expect(output.dims).toEqual([count, dim])
        return output.data as Float32Array
      }
      const singles: Float32Array[] = []
      for (let row = 0; row < rows; row++) singles.push(await extract(row, 1))
      const largest = Math.max(...singles.map((values) => values.reduce((max, v) => Math.max(max, Math.abs(v)), 0)))
      expect(largest).toBeGreaterThan(0)
      expect(Number.isFinite(largest)).toBe(true)
      // The images must not all come out the same, or the comparison of rows would say nothing.
      expect(Buffer.from(singles[0]!.buffer)).not.toEqual(Buffer.from(singles[1]!.buffer))
      for (const count of batches.slice(1)) {
        const all = await extract(0, count)
        let worst = 0
        for (let row = 0; row < count; row++) {
          const single = singles[row % rows]!
          for (let i = 0; i < dim; i++) worst = Math.max(worst, Math.abs(all[row * dim + i]! - single[i]!))
        }
        expect(worst).toBeLessThanOrEqual(1e-5 * Math.max(1, largest))
      }
    } finally {
      await closeSession(session)
      await rm(path, { force: true })
    }
  })
})
