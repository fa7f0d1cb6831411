import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import * as tf from '@tensorflow/tfjs'
import { importableLayers, importTfjsLayersModel } from '../../src/backbones/tfjs/import.js'
import { createRandom } from '../../src/base/random.js'
import { encodeModel } from '../../src/onnx/build.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'

let folder: string
const covered = new Set<string>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fc7-tfjs-'))
  // Without this, TensorFlow.js advertises its native backend in the middle of the results.
  tf.env().set('IS_TEST', true)
  await tf.setBackend('cpu')
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

const L = tf.layers
type Chain = (x: tf.SymbolicTensor) => tf.SymbolicTensor
const side = 9

function modelOf(chain: Chain): tf.LayersModel {
  const x = tf.input({ shape: [side, side + 1, 4] })
  const model = tf.model({ inputs: x, outputs: chain(x) })
  // Every weight random, the moving statistics too; variances stay positive.
  const random = createRandom(7)
  for (const layer of model.layers) {
    layer.setWeights(
      layer.weights.map((weight) => {
        const count = weight.shape.reduce<number>((product, n) => product * (n ?? 1), 1)
        const positive = weight.name.includes('moving_variance')
        const values = Float32Array.from({ length: count }, () =>
          positive ? 0.5 + random.next() : 0.4 * random.normal(),
        )
        return tf.tensor(values, weight.shape as number[])
      }),
    )
  }
  return model
}

interface Saved {
  modelTopology: unknown
  weightSpecs: { name: string; shape: number[]; dtype: string; quantization?: object }[]
  weightData: Uint8Array
}

async function artifacts(model: tf.LayersModel): Promise<Saved> {
  let saved: Saved | undefined
  await model.save(
    tf.io.withSaveHandler(async (given) => {
      saved = {
        modelTopology: given.modelTopology,
        weightSpecs: given.weightSpecs as Saved['weightSpecs'],
        weightData: new Uint8Array(given.weightData as ArrayBuffer),
      }
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } }
    }),
  )
  return saved!
}

/** Writes model.json and two shards, cut in the middle of a weight. */
async function store(saved: Saved, change: (json: Record<string, never>) => void = () => {}): Promise<string> {
  const middle = Math.floor(saved.weightData.length / 2) + 1
  await writeFile(join(folder, 'a.bin'), saved.weightData.subarray(0, middle))
  await writeFile(join(folder, 'b.bin'), saved.weightData.subarray(middle))
  const json = JSON.parse(
    JSON.stringify({
      format: 'layers-model',
      modelTopology: saved.modelTopology,
      weightsManifest: [{ paths: ['a.bin', 'b.bin'], weights: saved.weightSpecs }],
    }),
  )
  change(json)
  const path = join(folder, 'model.json')
  await writeFile(path, JSON.stringify(json))
  return path
}

/** The imported model's answer, in Keras' order of axes. */
async function runImported(
  path: string,
  pixels: Float32Array,
): Promise<{ dims: readonly number[]; data: Float32Array }> {
  const imported = await importTfjsLayersModel({ modelJsonPath: path })
  const session = await openSession(encodeModel(imported))
  const turned = tf.tidy(() =>
    tf
      .tensor4d(pixels, [2, side, side + 1, 4])
      .transpose([0, 3, 1, 2])
      .dataSync(),
  ) as Float32Array
  const x = new (loadOrt().Tensor)('float32', Float32Array.from(turned), [2, 4, side, side + 1])
  const result = await session.run({ [session.inputNames[0]!]: x })
  await closeSession(session)
  const { dims, data } = result[session.outputNames[0]!]!
  if (dims.length !== 4) return { dims, data: data as Float32Array }
  const back = tf.tidy(() =>
    tf
      .tensor4d(data as Float32Array, dims as [number, number, number, number])
      .transpose([0, 2, 3, 1])
      .dataSync(),
  )
  return { dims: [dims[0]!, dims[2]!, dims[3]!, dims[1]!], data: back as Float32Array }
}

const random = createRandom(1)
const pixels = Float32Array.from({ length: 2 * side * (side + 1) * 4 }, () => random.normal())

async function compare(model: tf.LayersModel, path: string): Promise<number> {
  const expected = model.predict(tf.tensor4d(pixels, [2, side, side + 1, 4])) as tf.Tensor
  const got = await runImported(path, pixels)
  expect(got.dims).toEqual(expected.shape)
  const want = expected.dataSync()
  const scale = Math.max(...want.map(Math.abs))
  expect(scale).toBeGreaterThan(0)
  return Math.max(...want.map((value, i) => Math.abs(value - got.data[i]!))) / scale
}

const conv = (config: object = {}) => L.conv2d({ filters: 6, kernelSize: 3, padding: 'same', ...config })
const on =
  (...layers: { apply(x: never): unknown }[]): Chain =>
  (x) =>
    layers.reduce<unknown>((value, layer) => layer.apply(value as never), x) as tf.SymbolicTensor

const maxOf = (poolSize: number, strides: number, padding: 'valid' | 'same' = 'valid') =>
  L.maxPooling2d({ poolSize, strides, padding })

const cases: [string, Chain][] = [
  ['Conv2D valid, strides, no bias', on(L.conv2d({ filters: 5, kernelSize: [3, 2], strides: [2, 1], useBias: false }))],
  ['Conv2D same, stride 2 (asymmetric pads)', on(L.conv2d({ filters: 5, kernelSize: 3, strides: 2, padding: 'same' }))],
  ['Conv2D same, stride 3, kernel 4', on(L.conv2d({ filters: 5, kernelSize: 4, strides: 3, padding: 'same' }))],
  ['Conv2D dilated', on(L.conv2d({ filters: 5, kernelSize: 3, dilationRate: 2, padding: 'same' }))],
  ['DepthwiseConv2D with multiplier', on(L.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: 'same' }))],
  ['DepthwiseConv2D stride 2', on(L.depthwiseConv2d({ kernelSize: 3, strides: 2, padding: 'same', useBias: false }))],
  [
    'SeparableConv2D',
    on(
      L.separableConv2d({
        filters: 7,
        kernelSize: 3,
        depthMultiplier: 2,
        strides: 2,
        padding: 'same',
        activation: 'relu',
      }),
    ),
  ],
  ['BatchNormalization', on(conv(), L.batchNormalization({ axis: 3 }))],
  [
    'BatchNormalization without scale and centre',
    on(conv(), L.batchNormalization({ scale: false, center: false, epsilon: 0.01 })),
  ],
  ['BatchNormalization on a vector', on(L.flatten(), L.dense({ units: 5 }), L.batchNormalization())],
  ['ReLU', on(conv(), L.reLU())],
  ['ReLU up to 6', on(conv({ kernelSize: 7 }), L.reLU({ maxValue: 6 }))],
  ['LeakyReLU', on(conv(), L.leakyReLU({ alpha: 0.2 }))],
  ['ELU', on(conv(), L.elu())],
  ['Softmax of a vector', on(L.flatten(), L.softmax({ axis: 1 }))],
  ['Softmax of an image, axis counted from the end', on(conv(), L.softmax({ axis: -1 }))],
  ['Softmax of an image, axis counted from the start', on(conv(), L.softmax({ axis: 3 }))],
  ['PReLU, a slope for each channel', on(conv(), L.prelu({ sharedAxes: [1, 2] }))],
  ...[
    'relu',
    'relu6',
    'sigmoid',
    'tanh',
    'softmax',
    'softplus',
    'softsign',
    'elu',
    'selu',
    'hardSigmoid',
    'swish',
    'linear',
  ].map((activation): [string, Chain] => [
    `Activation ${activation}`,
    on(conv({ activation: 'linear' }), L.activation({ activation: activation as 'relu' })),
  ]),
  ['MaxPooling2D same', on(conv(), L.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' }))],
  ['MaxPooling2D valid', on(L.maxPooling2d({ poolSize: [2, 3] }))],
  ['AveragePooling2D same leaves padding out', on(L.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' }))],
  ['AveragePooling2D same, stride 1', on(L.averagePooling2d({ poolSize: 3, strides: 1, padding: 'same' }))],
  ['GlobalAveragePooling2D', on(conv(), L.globalAveragePooling2d({}))],
  ['GlobalMaxPooling2D and Dense', on(conv(), L.globalMaxPooling2d({}), L.dense({ units: 3, activation: 'softmax' }))],
  [
    'ZeroPadding2D, sides unequal',
    on(
      L.zeroPadding2d({
        padding: [
          [0, 1],
          [2, 3],
        ],
      }),
      conv(),
    ),
  ],
  ['ZeroPadding2D before a max pool of negative values', on(L.zeroPadding2d({ padding: 1 }), maxOf(3, 2))],
  ['ZeroPadding2D as wide as the max pool after it', on(L.zeroPadding2d({ padding: 3 }), maxOf(2, 2))],
  ['ZeroPadding2D before a max pool, same', on(L.zeroPadding2d({ padding: 1 }), maxOf(3, 2, 'same'))],
  [
    'ZeroPadding2D before an average pool',
    on(L.zeroPadding2d({ padding: 1 }), L.averagePooling2d({ poolSize: 3, strides: 2 })),
  ],
  [
    'Cropping2D',
    on(
      L.cropping2D({
        cropping: [
          [1, 0],
          [2, 1],
        ],
      }),
    ),
  ],
  ['Flatten keeps the order of channels last', on(conv(), L.flatten(), L.dense({ units: 4 }))],
  ['Dense on an image', on(L.dense({ units: 3 }))],
  [
    "MobileNet's Reshape, 1×1 Conv2D, Reshape",
    on(
      conv(),
      L.globalAveragePooling2d({}),
      L.reshape({ targetShape: [1, 1, 6] }),
      L.dropout({ rate: 0.5 }),
      L.conv2d({ filters: 3, kernelSize: 1 }),
      L.reshape({ targetShape: [3] }),
      L.activation({ activation: 'softmax' }),
    ),
  ],
  ['Reshape of an image to an image', on(L.reshape({ targetShape: [side + 1, side, 4] }), conv())],
  ['Reshape with -1', on(L.reshape({ targetShape: [-1, side, 2] }), conv())],
  [
    'Add',
    (x) =>
      L.add().apply([conv().apply(x), conv().apply(x), conv().apply(x)] as tf.SymbolicTensor[]) as tf.SymbolicTensor,
  ],
  [
    'Multiply by one value a channel',
    (x) =>
      L.multiply().apply([
        x,
        L.reshape({ targetShape: [1, 1, 4] }).apply(L.globalAveragePooling2d({}).apply(x)),
      ] as tf.SymbolicTensor[]) as tf.SymbolicTensor,
  ],
  ['Average', (x) => L.average().apply([x, conv({ filters: 4 }).apply(x)] as tf.SymbolicTensor[]) as tf.SymbolicTensor],
  ['Maximum', (x) => L.maximum().apply([x, conv({ filters: 4 }).apply(x)] as tf.SymbolicTensor[]) as tf.SymbolicTensor],
  ['Minimum', (x) => L.minimum().apply([x, conv({ filters: 4 }).apply(x)] as tf.SymbolicTensor[]) as tf.SymbolicTensor],
  [
    'Concatenate on channels',
    (x) => L.concatenate().apply([x, conv().apply(x)] as tf.SymbolicTensor[]) as tf.SymbolicTensor,
  ],
  [
    'Concatenate on height',
    (x) =>
      L.concatenate({ axis: 1 }).apply([x, conv({ filters: 4 }).apply(x)] as tf.SymbolicTensor[]) as tf.SymbolicTensor,
  ],
  [
    'layers that do nothing at inference',
    on(
      conv(),
      L.dropout({ rate: 0.3 }),
      L.gaussianDropout({ rate: 0.2 }),
      L.gaussianNoise({ stddev: 1 }),
      L.alphaDropout({ rate: 0.2 }),
    ),
  ],
]

describe('imported layers compute what TensorFlow.js computes', () => {
  it.each(cases)('%s', async (_, chain) => {
    const model = modelOf(chain)
    for (const layer of model.layers) covered.add(layer.getClassName())
    expect(await compare(model, await store(await artifacts(model)))).toBeLessThan(1e-4)
  })

  it('a Sequential model', async () => {
    const model = tf.sequential({
      layers: [
        L.conv2d({ filters: 3, kernelSize: 3, inputShape: [side, side + 1, 4] }),
        L.flatten(),
        L.dense({ units: 2 }),
      ],
    })
    expect(await compare(model, await store(await artifacts(model)))).toBeLessThan(1e-4)
  })

  it('every layer type that TensorFlow.js can make is among the cases', () => {
    // tfjs 4 has no layer of these names; their rules are shared with or as simple as the tested ones.
    const notInTfjs = ['Subtract', 'SpatialDropout2D', 'ActivityRegularization', 'Rescaling']
    expect(importableLayers.filter((name) => !covered.has(name) && !notInTfjs.includes(name))).toEqual([])
  })
})

describe('weights', () => {
  it.each(['uint8', 'uint16'] as const)('%s-quantised weights mean stored × scale + min', async (dtype) => {
    const model = modelOf(on(conv(), L.flatten(), L.dense({ units: 4 })))
    const saved = await artifacts(model)
    const parts: Uint8Array[] = []
    const plain: tf.Tensor[] = []
    let offset = 0
    for (const spec of saved.weightSpecs) {
      const count = spec.shape.reduce((product, n) => product * n, 1)
      const values = new Float32Array(saved.weightData.slice(offset, offset + 4 * count).buffer)
      offset += 4 * count
      const min = Math.min(...values)
      const levels = dtype === 'uint8' ? 255 : 65535
      const scale = (Math.max(...values) - min) / levels || 1
      const stored = Array.from(values, (value) => Math.round((value - min) / scale))
      parts.push(new Uint8Array((dtype === 'uint8' ? Uint8Array.from(stored) : Uint16Array.from(stored)).buffer))
      spec.quantization = { dtype, scale, min, original_dtype: 'float32' }
      plain.push(
        tf.tensor(
          stored.map((n) => n * scale + min),
          spec.shape,
        ),
      )
    }
    saved.weightData = new Uint8Array(Buffer.concat(parts))
    model.setWeights(plain)
    expect(await compare(model, await store(saved))).toBeLessThan(1e-4)
  })

  it('must lie in the folder, exist, and have exactly the promised size', async () => {
    const saved = await artifacts(modelOf(on(conv())))
    const code = async (change: (json: never) => void): Promise<string> => {
      const path = await store(saved, change as never)
      return importTfjsLayersModel({ modelJsonPath: path }).then(
        () => 'fine',
        (error: { code: string }) => error.code,
      )
    }
    type Json = { weightsManifest: { paths: string[]; weights: { shape: number[] }[] }[]; format: string }
    expect(
      await code((json: Json) => {
        json.weightsManifest[0]!.paths[1] = '../b.bin'
      }),
    ).toBe('TFJS_WEIGHTS')
    expect(
      await code((json: Json) => {
        json.weightsManifest[0]!.paths[1] = '/etc/hostname'
      }),
    ).toBe('TFJS_WEIGHTS')
    expect(
      await code((json: Json) => {
        json.weightsManifest[0]!.paths[1] = 'gone.bin'
      }),
    ).toBe('TFJS_WEIGHTS')
    expect(
      await code((json: Json) => {
        json.weightsManifest[0]!.paths.pop()
      }),
    ).toBe('TFJS_WEIGHTS')
    expect(
      await code((json: Json) => {
        json.weightsManifest[0]!.weights.pop()
      }),
    ).toBe('TFJS_WEIGHTS')
    expect(
      await code((json: Json) => {
        json.format = 'graph-model'
      }),
    ).toBe('TFJS_BROKEN')
  })
})

it('refuses a Softmax along anything but the channels', async () => {
  const path = await store(await artifacts(modelOf(on(conv(), L.softmax({ axis: 3 })))))
  const json = JSON.parse(await readFile(path, 'utf8'))
  const layers = json.modelTopology.config.layers as { class_name: string; config: { axis?: number } }[]
  layers.find((layer) => layer.class_name === 'Softmax')!.config.axis = 1
  await writeFile(path, JSON.stringify(json))
  await expect(importTfjsLayersModel({ modelJsonPath: path })).rejects.toMatchObject({
    code: 'TFJS_UNSUPPORTED',
    message: expect.stringContaining('axis is 1'),
  })
})

it('refuses an unknown layer by its name', async () => {
  const model = modelOf(on(L.upSampling2d({})))
  const path = await store(await artifacts(model))
  await expect(importTfjsLayersModel({ modelJsonPath: path })).rejects.toMatchObject({
    code: 'TFJS_UNSUPPORTED',
    message: expect.stringContaining('UpSampling2D'),
  })
  expect(JSON.parse(await readFile(path, 'utf8')).format).toBe('layers-model')
})
