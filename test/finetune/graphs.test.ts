import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { chooseBoundary, lowerModel, upperModel, wholeModel } from '../../src/finetune/plan/boundaries.js'
import { buildHeaded } from '../../src/finetune/plan/headed.js'
import { droppedName, headBias, headWeight, trainedParameters } from '../../src/finetune/plan/network.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { encodeModel, GraphBuilder } from '../../src/onnx/build.js'
import type { ModelProto } from '../../src/onnx/generated/onnx_pb.js'
import { decodeModel } from '../../src/onnx/read.js'
import { graphOf } from '../../src/onnx/walk.js'
import { loadOrt } from '../../src/runtime/ort.js'
import { closeSession, openSession } from '../../src/runtime/session.js'
import { counterBeta, counterKey } from '../../src/training/counter-random.js'
import { buildTrainingGraph } from '../../src/training/graph/graph.js'
import { modernise } from '../../src/training/modernise.js'
import { prepareNetwork } from '../../src/training/network.js'
import { TrainingRunner } from '../../src/training/runner.js'
import { tinyModel, tinySide } from '../support/tiny.js'

const recipe = namedRecipe('torchvision', { width: tinySide, height: tinySide })
const build = (model: ModelProto) => buildHeaded(model, { recipe, outputs: 3, random: createRandom(0) })
const network = build(decodeModel(tinyModel()))
const random = createRandom('images')
const rows = 8
const pixels = Uint8Array.from({ length: rows * tinySide * tinySide * 3 }, () => random.int(256))
const labels = [0, 1, 2, 0, 1, 2, 0, 1]

/**
 * A network as an old exporter writes it: operator set 9, a branch, an op that only some versions of the test can
 * train.
 */
function branched(op: string): ModelProto {
  const g = new GraphBuilder('branched')
  const weights = (count: number) => Float32Array.from({ length: count }, () => random.normal() * 0.2)
  g.input('data', 'float32', [1, 3, tinySide, tinySide])
  g.initializer('a.w', 'float32', [4, 3, 3, 3], weights(108))
  g.initializer('b.w', 'float32', [4, 4, 1, 1], weights(16))
  g.initializer('scale', 'float32', [4], weights(4))
  g.initializer('fc.w', 'float32', [3, 4], weights(12))
  g.add('Conv', ['data', 'a.w'], { strides: [2, 2] }, { outputs: ['a'] })
  g.add('Clip', ['a'], { min: { float: 0 }, max: { float: 6 } }, { outputs: ['a6'] })
  g.add('Conv', ['a6', 'b.w'], {}, { outputs: ['b'] })
  g.add(op, ['b'], {}, { outputs: ['side'] })
  g.add('Unsqueeze', ['scale'], { axes: [1, 2] }, { outputs: ['scale3'] })
  g.add('Mul', ['side', 'scale3'], {}, { outputs: ['scaled'] })
  g.add('Add', ['a6', 'scaled'], {}, { outputs: ['joined'] })
  g.add('GlobalAveragePool', ['joined'], {}, { outputs: ['pooled'] })
  g.add('Flatten', ['pooled'], {}, { outputs: ['flat'] })
  g.add('Gemm', ['flat', 'fc.w'], { transB: 1 }, { outputs: ['out'] })
  g.output('out', 'float32', [1, 3])
  return decodeModel(encodeModel(g.model(9)))
}

async function logits(
  model: ModelProto,
  feed: Float32Array | Uint8Array,
  row: readonly number[],
): Promise<Float32Array> {
  const session = await openSession(encodeModel(model))
  const { Tensor } = loadOrt()
  const dims = [rows, ...row]
  const input = feed instanceof Uint8Array ? new Tensor('uint8', feed, dims) : new Tensor('float32', feed, dims)
  const result = await session.run({ [session.inputNames[0]!]: input })
  await closeSession(session)
  return result[session.outputNames[0]!]!.data as Float32Array
}

const graphOfBatch = (batch: number, gradAccumSteps: number) =>
  buildTrainingGraph({
    network: prepareNetwork(network.model, batch),
    logits: 'logits',
    trainable: network.parameters.map(({ name }) => name),
    loss: { kind: 'softmax' },
    optimizer: { kind: 'sgd' },
    gradAccumSteps: gradAccumSteps,
    parts: { names: ['body', 'head'], of: (name) => (name.startsWith('fc7/head') ? 'head' : 'body') },
  })

describe('a backbone with a new head', () => {
  it('computes the same whether cut at a boundary or whole', async () => {
    const boundary = chooseBoundary(network, 'relu2')
    const whole = await logits(wholeModel(network, boundary), pixels, [tinySide, tinySide, 3])
    const lower = await logits(lowerModel(network, boundary), pixels, [tinySide, tinySide, 3])
    expect(await logits(upperModel(network, boundary), lower, boundary.row)).toEqual(whole)
    expect(await logits(network.model, pixels, [tinySide, tinySide, 3])).toEqual(whole)
  })

  it('old operator sets train; a weight behind Unsqueeze is found; a layer in a branch is no boundary', () => {
    const net = build(branched('Relu'))
    expect(net.parameters.map(({ name }) => name)).toEqual(['a.w', 'b.w', 'scale', 'fc7/head/weight', 'fc7/head/bias'])
    const graph = buildTrainingGraph({
      network: prepareNetwork(net.model, 2),
      logits: 'logits',
      trainable: trainedParameters(net, net.boundaries[0]!).map(({ name }) => name),
      loss: { kind: 'softmax' },
      optimizer: { kind: 'sgd' },
    })
    expect(graph.loopState.filter(({ kind }) => kind === 'parameter')).toHaveLength(5)
    expect(() => chooseBoundary(net, 'side')).toThrow(/lies in a branch/)
    const clip = graphOf(modernise(branched('Relu'))).node.find(({ opType }) => opType === 'Clip')
    expect(clip!.input).toEqual(['a', 'a6/min', 'a6/max'])
  })

  it('an op without a gradient is named with its layer before anything runs, and may stay in the frozen layers', () => {
    const net = build(branched('Erf'))
    const train = (boundary: string) =>
      buildTrainingGraph({
        network: prepareNetwork(net.model, 2),
        logits: 'logits',
        trainable: trainedParameters(net, chooseBoundary(net, boundary)).map(({ name }) => name),
        loss: { kind: 'softmax' },
        optimizer: { kind: 'sgd' },
      })
    expect(() => train('a')).toThrow(/no gradient for the op Erf \(layer side\)/)
    expect(train('joined').loopState.length).toBeGreaterThan(0)
  })
})

describe('the training graph', () => {
  it('learns the same whether its frozen part is computed before the loop or in it', async () => {
    const boundary = chooseBoundary(network, 'relu2')
    const train = async (frozenOutside: boolean) => {
      const graph = buildTrainingGraph({
        network: prepareNetwork(wholeModel(network, boundary), 4),
        logits: 'logits',
        trainable: trainedParameters(network, boundary).map(({ name }) => name),
        loss: { kind: 'softmax' },
        optimizer: { kind: 'adamw' },
        weightDecay: 0.01,
        frozenOutside,
      })
      const loop = graphOf(graph.model).node
      expect(loop.some(({ opType }) => opType === 'Conv')).toBe(frozenOutside)
      const runner = await TrainingRunner.open(graph)
      runner.setRows({ data: pixels, labels })
      const { loss } = await runner.run({
        index: [5, 1, 0, 2, 7, 3, 4, 6],
        lr: [0.01, 0.02],
        seed: 0,
        epoch: 0,
      })
      const weights = runner.snapshot().get('fc7/head/weight')!
      await runner.close()
      return [...loss, ...weights]
    }
    const [inside, outside] = [await train(false), await train(true)]
    inside.forEach((value, i) => {
      expect(outside[i]).toBeCloseTo(value, 5)
    })
  })

  it('two halves of a batch accumulated move the weights as the batch does', async () => {
    const weights = async (batch: number, gradAccumSteps: number): Promise<Map<string, Float32Array>> => {
      const runner = await TrainingRunner.open(graphOfBatch(batch, gradAccumSteps))
      runner.setRows({ data: pixels, labels })
      const steps = (rows / batch) * 2
      const index = Array.from({ length: steps * batch }, (_, i) => i % rows)
      await runner.run({ index, lr: new Array(steps).fill(0.01), seed: 0, epoch: 0 })
      const result = runner.snapshot()
      await runner.close()
      return result
    }
    const [whole, halves] = [await weights(8, 1), await weights(4, 2)]
    for (const { name } of network.parameters) {
      const worst = whole.get(name)!.reduce((max, v, i) => Math.max(max, Math.abs(v - halves.get(name)![i]!)), 0)
      expect(worst).toBeLessThan(1e-6)
    }
  })

  it('tells the gradient’s norm by parts, which add up to the whole', async () => {
    const runner = await TrainingRunner.open(graphOfBatch(8, 1))
    runner.setRows({ data: pixels, labels })
    const { norm, norms } = await runner.run({ index: labels.map((_, i) => i), lr: [0], seed: 0, epoch: 0 })
    await runner.close()
    expect(norms).toHaveLength(2)
    expect(Math.hypot(...norms)).toBeCloseTo(norm[0]!, 4)
  })

  it('drops features before a new head on a frozen network, the same in the loop as on cached features', async () => {
    const dropped = buildHeaded(decodeModel(tinyModel()), { recipe, outputs: 3, random: createRandom(0), dropout: 0.5 })
    expect(dropped.features.tensor).toBe(network.features.tensor)
    // Outside of training it passes everything.
    const row = [tinySide, tinySide, 3]
    expect(await logits(dropped.model, pixels, row)).toEqual(await logits(network.model, pixels, row))
    const train = async (model: ModelProto, data: Float32Array | Uint8Array, frozenOutside: boolean, seed = 5) => {
      const graph = buildTrainingGraph({
        network: prepareNetwork(model, rows),
        logits: 'logits',
        trainable: [headWeight, headBias],
        loss: { kind: 'softmax' },
        optimizer: { kind: 'sgd' },
        frozenOutside,
        drops: ({ output }) => output[0] === droppedName,
      })
      expect(graph.masks).toEqual([{ name: `mask:${droppedName}`, shape: [rows, 24], rate: 0.5 }])
      const runner = await TrainingRunner.open(graph)
      runner.setRows({ data, labels })
      const index = labels.flatMap((_, i) => [i])
      const { loss } = await runner.run({ index: [...index, ...index], lr: [0.01, 0.01], seed, epoch: 0 })
      await runner.close()
      return [...loss]
    }
    const losses = await train(dropped.model, pixels, false)
    expect(losses[0]).not.toBeCloseTo(losses[1]!, 3)
    const features = await logits(lowerModel(dropped, dropped.features), pixels, row)
    for (const same of [
      await train(dropped.model, pixels, true),
      await train(upperModel(dropped, dropped.features), features, true),
    ])
      same.forEach((loss, i) => {
        expect(loss).toBeCloseTo(losses[i]!, 4)
      })
    expect(await train(dropped.model, pixels, false, 6)).not.toEqual(losses)
  })

  it('moves large parameters a piece at a time, to the same bits', async () => {
    const train = async (kind: 'sgd' | 'adamw', from: number) => {
      const graph = buildTrainingGraph({
        network: prepareNetwork(network.model, rows),
        logits: 'logits',
        trainable: network.parameters.map(({ name }) => name),
        loss: { kind: 'softmax' },
        optimizer: { kind },
        weightDecay: 0.01,
        clipNorm: 0.5,
        lrFactor: (name) => (name === 'fc7.w' ? 0.5 : 1),
        chunkFrom: from,
      })
      const scans = graphOf(graph.model)
        .node.flatMap(({ attribute }) => attribute.flatMap(({ g }) => (g ? g.node : [])))
        .filter(({ opType }) => opType === 'Scan')
      const runner = await TrainingRunner.open(graph)
      runner.setRows({ data: pixels, labels })
      const index = labels.map((_, i) => i)
      for (let run = 0; run < 2; run++)
        await runner.run({ index: [...index, ...index], lr: [0.02, 0.01], seed: 0, epoch: 0 })
      const end = runner.snapshot()
      await runner.close()
      return { scans: scans.length, end }
    }
    for (const kind of ['sgd', 'adamw'] as const) {
      const [whole, pieces] = [await train(kind, 1 << 22), await train(kind, 1024)]
      expect([whole.scans, pieces.scans]).toEqual([0, 2])
      for (const [name, values] of whole.end) expect(pieces.end.get(name)).toEqual(values)
    }
  })

  it('mixes images and labels in pairs; an image without weight is nobody’s partner', async () => {
    const graph = (mixup: number) =>
      buildTrainingGraph({
        network: prepareNetwork(network.model, rows),
        logits: 'logits',
        trainable: [headWeight, headBias],
        loss: { kind: 'softmax' },
        optimizer: { kind: 'sgd' },
        mixup,
      })
    const loss = async (mixup: number, weights: Float32Array, data = pixels) => {
      const runner = await TrainingRunner.open(graph(mixup))
      runner.setRows({ data, labels, weights })
      const run = await runner.run({ index: labels.map((_, i) => i), lr: [0], seed: 2, epoch: 3 })
      await runner.close()
      return run.loss[0]!
    }
    const all = new Float32Array(rows).fill(1)
    expect(await loss(1, all)).not.toBeCloseTo(await loss(0, all), 3)
    // One image counts, so it can only be mixed with itself; the others' pixels are of no account.
    const one = Float32Array.from({ length: rows }, (_, i) => (i === 3 ? 1 : 0))
    const other = pixels.map((v, i) => (Math.floor((i * rows) / pixels.length) === 3 ? v : 255 - v))
    expect(await loss(1, one)).toBeCloseTo(await loss(0, one), 5)
    expect(await loss(1, one, other)).toBeCloseTo(await loss(1, one), 5)
  })
})

it('shares of mixup follow Beta(α, α)', () => {
  for (const alpha of [0.02, 0.4, 1, 3]) {
    const values = Array.from({ length: 4000 }, (_, image) => {
      const key = counterKey({ seed: 0, epoch: 0, step: 0, image, lane: 0 })
      return counterBeta(key, alpha).value
    })
    const mean = values.reduce((a, b) => a + b, 0) / values.length
    const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.03)
    expect(variance * 4 * (2 * alpha + 1)).toBeCloseTo(1, 1)
    expect(values.every((v) => v >= 0 && v <= 1)).toBe(true)
  }
})
