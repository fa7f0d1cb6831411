import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { buildExtractionGraph } from '../../src/backbones/extraction.js'
import { layerName, listLayers } from '../../src/backbones/layers.js'
import { prepareBackbone } from '../../src/backbones/prepare.js'
import { resolveBackbone } from '../../src/backbones/resolve.js'
import { createRandom } from '../../src/base/random.js'
import { namedRecipe, type Recipe } from '../../src/images/recipe/recipe.js'
import { encodeModel, GraphBuilder, tensor, valueInfo } from '../../src/onnx/build.js'
import type { ModelProto } from '../../src/onnx/generated/onnx_pb.js'
import { writeModel } from '../../src/onnx/write.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'

/** An old file as the zoo has them: batch 1 in the input and in Reshape, weights among the inputs, opset 9, Dropout. */
function oldNetwork(): ModelProto {
  const random = createRandom(3)
  const floats = (count: number): Float32Array => Float32Array.from({ length: count }, () => 0.2 * random.normal())
  const b = new GraphBuilder('old')
  b.input('data', 'float32', [1, 3, 8, 8])
  const weight = (name: string, dims: number[]): string =>
    b.initializer(name, 'float32', dims, floats(dims.reduce((a, n) => a * n, 1)))
  b.add(
    'Conv',
    ['data', weight('conv1_w', [4, 3, 3, 3])],
    { kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
    { outputs: ['c1'] },
  )
  b.add('Relu', ['c1'], {}, { outputs: ['r1'] })
  b.add('LRN', ['r1'], { size: 3 }, { outputs: ['n1'] })
  b.add('MaxPool', ['n1'], { kernel_shape: [2, 2], strides: [2, 2] }, { outputs: ['p1'] })
  b.initializer('shape', 'int64', [2], BigInt64Array.of(1n, 64n))
  b.add('Reshape', ['p1', 'shape'], {}, { outputs: ['flat'] })
  b.add('Gemm', ['flat', weight('fc6_w', [64, 10]), weight('fc6_b', [10])], {}, { outputs: ['f6'] })
  b.add('Relu', ['f6'], {}, { outputs: ['r6'] })
  b.add('Dropout', ['r6'], {}, { outputs: ['d6', 'mask'] })
  b.add('Gemm', ['d6', weight('fc7_w', [10, 5]), weight('fc7_b', [5])], {}, { outputs: ['f7'] })
  b.add('Softmax', ['f7'], {}, { outputs: ['prob'] })
  b.output('prob', 'float32', [1, 5])
  const model = b.model(9)
  model.irVersion = 3n
  for (const { name, dims } of b.initializers)
    b.inputs.push(valueInfo(name, name === 'shape' ? 'int64' : 'float32', dims.map(Number)))
  model.graph!.input = b.inputs
  model.graph!.valueInfo = [valueInfo('flat', 'float32', [1, 64])]
  return model
}

const plain: Recipe = {
  resize: { mode: 'squash', width: 8, height: 8, filter: 'bilinear', antialias: true },
  crop: null,
  channelOrder: 'BGR',
  scale: 1 / 255,
  mean: [0.1, 0.2, 0.3],
  std: [0.5, 0.6, 0.7],
}

const random = createRandom(5)
const pixels = Uint8Array.from({ length: 7 * 192 }, () => random.int(256))

async function run(
  model: ModelProto,
  feeds: Record<string, [string, unknown, number[]]>,
): Promise<Map<string, Float32Array>> {
  const { Tensor } = loadOrt()
  const session = await openSession(encodeModel(model))
  const given = Object.entries(feeds).map(([name, [type, data, dims]]) => [
    name,
    new Tensor(type as 'uint8', data as Uint8Array, dims),
  ])
  const result = await session.run(Object.fromEntries(given))
  await closeSession(session)
  return new Map(Object.entries(result).map(([name, value]) => [name, value.data as Float32Array]))
}

const feed = (rows: number): Record<string, [string, unknown, number[]]> => ({
  pixels: ['uint8', pixels.subarray(0, rows * 192), [rows, 8, 8, 3]],
})

describe('the extraction graph', () => {
  it('equals the network itself, fed with numbers that JavaScript prepared', async () => {
    const chw = new Float32Array(192)
    for (let c = 0; c < 3; c++) {
      for (let i = 0; i < 64; i++) {
        chw[c * 64 + i] = (pixels[i * 3 + 2 - c]! / 255 - plain.mean[c]!) / plain.std[c]!
      }
    }
    const network = oldNetwork()
    network.graph!.output = [valueInfo('r6', 'float32', [1, 10]), valueInfo('p1', 'float32', [1, 4, 4, 4])]
    const expected = await run(network, { data: ['float32', chw, [1, 3, 8, 8]] })
    const built = buildExtractionGraph(oldNetwork(), { recipe: plain, layers: ['r6', 'p1'], pool: 'none' })
    const got = await run(built.model, feed(1))
    expect(built.layers.map(({ dim, shape }) => [dim, shape])).toEqual([
      [10, '[N, 10]'],
      [64, '[N, 4, 4, 4]'],
    ])
    for (const [theirs, ours] of [
      ['r6', 'layer:r6'],
      ['p1', 'layer:p1'],
    ] as const) {
      const [want, have] = [expected.get(theirs)!, got.get(ours)!]
      expect(Math.max(...want)).toBeGreaterThan(0)
      expect(Math.max(...want.map((value, i) => Math.abs(value - have[i]!)))).toBeLessThan(1e-5)
    }
  })

  it('takes any batch, row by row the same, though the file was fixed to one', async () => {
    const { model, layers } = buildExtractionGraph(oldNetwork(), { recipe: plain })
    expect(layers).toMatchObject([{ layer: 'r6', tensor: 'r6', dim: 10, output: 'layer:r6' }])
    const seven = (await run(model, feed(7))).get('layer:r6')!
    const one = (await run(model, { pixels: ['uint8', pixels.subarray(6 * 192), [1, 8, 8, 3]] })).get('layer:r6')!
    expect(seven.length).toBe(70)
    expect(Math.max(...one.map((value, i) => Math.abs(value - seven[60 + i]!)))).toBeLessThan(1e-5)
  })

  it('leaves Dropout, the classifier, its weights and stale notes behind', () => {
    const { model, rewrites } = buildExtractionGraph(oldNetwork(), { recipe: plain })
    const { graph } = model
    expect(graph!.node.map(({ opType }) => opType)).not.toContain('Dropout')
    expect(graph!.initializer.map(({ name }) => name)).not.toContain('fc7_w')
    expect(graph!.input.map(({ name }) => name)).toEqual(['pixels'])
    expect(graph!.valueInfo).toEqual([])
    expect(rewrites).toEqual(['lrn-as-conv'])
  })

  it.each([
    ['avg', (values: Float32Array) => values.reduce((a, b) => a + b, 0) / 16],
    ['max', (values: Float32Array) => Math.max(...values)],
  ] as const)('pool %s over height and width', async (pool, reduce) => {
    const all = await run(
      buildExtractionGraph(oldNetwork(), { recipe: plain, layers: ['p1'], pool: 'none' }).model,
      feed(1),
    )
    const pooled = await run(buildExtractionGraph(oldNetwork(), { recipe: plain, layers: ['p1'], pool }).model, feed(1))
    const maps = all.get('layer:p1')!
    const got = pooled.get('layer:p1')!
    expect(got.length).toBe(4)
    got.forEach((value, c) => {
      expect(value).toBeCloseTo(reduce(maps.slice(c * 16, c * 16 + 16)), 4)
    })
  })

  it('refuses an unknown layer and a recipe of another size', () => {
    expect(() => buildExtractionGraph(oldNetwork(), { recipe: plain, layers: ['fc9'] })).toThrow(
      expect.objectContaining({ code: 'LAYER_UNKNOWN' }),
    )
    const large = namedRecipe('torchvision', { width: 224, height: 224 })
    expect(() => buildExtractionGraph(oldNetwork(), { recipe: large })).toThrow(
      expect.objectContaining({ code: 'RECIPE_SIZE' }),
    )
  })
})

it('a Pad before a max pool pads with zeros in other people’s files too, wide as it may be', async () => {
  const b = new GraphBuilder('padded')
  b.input('data', 'float32', ['N', 3, 8, 8])
  // Every value below zero: the largest of a window that touches the padding is the padding's 0.
  b.add('Sub', ['data', b.floats(300)], {}, { outputs: ['low'] })
  b.initializer('pads', 'int64', [8], BigInt64Array.of(0n, 0n, 2n, 2n, 0n, 0n, 2n, 2n))
  b.add('Pad', ['low', 'pads'], {}, { outputs: ['padded'] })
  b.add('MaxPool', ['padded'], { kernel_shape: [2, 2], strides: [2, 2] }, { outputs: ['pool'] })
  b.output('pool', 'float32', ['N', 3, 6, 6])
  const { recipe, layers } = {
    recipe: { ...plain, scale: 1, mean: [0, 0, 0], std: [1, 1, 1] } as Recipe,
    layers: ['pool'],
  }
  const built = buildExtractionGraph(b.model(13), { recipe, layers, pool: 'none' })
  const got = (await run(built.model, feed(1))).get('layer:pool')!
  expect(got.length).toBe(108)
  // One ring of windows lies in the padding wholly, the others not at all.
  for (let i = 0; i < 36; i++) {
    const inside = i % 6 > 0 && i % 6 < 5 && i >= 6 && i < 30
    expect(got[i]! < 0).toBe(inside)
  }
  expect(listLayers(prepareBackbone(b.model(13))).map(({ tensor: name }) => name)).toEqual(['low', 'padded', 'pool'])
})

describe('layers', () => {
  it('are listed in order with kind and shape; the default is the input of the last classifier, before Dropout', () => {
    const layers = listLayers(prepareBackbone(oldNetwork()), {
      layers: [
        { alias: 'conv1', kind: 'conv', index: 0 },
        { alias: 'fc6', kind: 'dense', index: -2 },
        { alias: 'prob', kind: 'softmax', index: -1 },
      ],
    })
    expect(layers.map((layer) => [layerName(layer), layer.kind])).toEqual([
      ['c1', 'conv'],
      ['conv1', 'relu'],
      ['n1', 'norm'],
      ['p1', 'pool'],
      ['f6', 'dense'],
      ['fc6', 'relu'],
      ['f7', 'dense'],
      ['prob', 'softmax'],
    ])
    expect(layers.filter(({ isDefault }) => isDefault).map(layerName)).toEqual(['fc6'])
    expect(layers[3]!.shape).toEqual(['N', 4, 4, 4])
  })
})

describe('a model given as a file', () => {
  it('needs a card or a recipe; a card beside it must be its own', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fc7-backbone-'))
    try {
      const path = join(folder, 'mine.onnx')
      await writeModel(oldNetwork(), path)
      const options = { cacheFolder: folder }
      await expect(resolveBackbone(path, options)).rejects.toMatchObject({ code: 'MODEL_NO_CARD' })
      const resolved = await resolveBackbone(path, { ...options, recipeName: 'caffe' })
      expect(resolved).toMatchObject({
        id: 'mine',
        recipe: { name: 'caffe', recipe: { crop: { width: 8, height: 8 } } },
      })
      const card = {
        format: 1,
        id: 'mine',
        title: 'Mine',
        sources: [{ kind: 'file', path: 'mine.onnx', sha256: '0'.repeat(64) }],
        recipes: ['keras-tf'],
      }
      await writeFile(`${path}.card.json`, JSON.stringify(card))
      await expect(resolveBackbone(path, options)).rejects.toMatchObject({ code: 'HASH_MISMATCH' })
      card.sources[0]!.sha256 = resolved.weights!.sha256
      await writeFile(`${path}.card.json`, JSON.stringify(card))
      expect((await resolveBackbone(path, options)).recipe.name).toBe('keras-tf')
      await expect(resolveBackbone('nothing-known', options)).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

it('a float initializer is a view, not a copy', () => {
  const values = new Float32Array(4)
  expect(tensor('t', 'float32', [4], values).rawData.buffer).toBe(values.buffer)
})
