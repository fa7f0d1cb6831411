import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { GraphBuilder } from '../../src/onnx/build.js'
import { buildTrainingGraph } from '../../src/training/graph/graph.js'
import { prepareNetwork } from '../../src/training/network.js'
import { TrainingRunner } from '../../src/training/runner.js'

interface Recorded {
  readonly net: 'mlp' | 'cnn-train' | 'cnn-frozen'
  readonly loss: 'softmax' | 'sigmoid'
  readonly optimizer: 'sgd' | 'adam' | 'adamw'
  /** α of Beta(α, α), 0 for none: shares and partners are drawn by the record's own script. */
  readonly mixup: number
  readonly losses: readonly number[]
  readonly mean?: readonly number[]
  readonly variance?: readonly number[]
}

const { runs } = JSON.parse(
  readFileSync(new URL('../fixtures/training/torch-losses.json', import.meta.url), 'utf8'),
) as { runs: Recorded[] }

/** The generator of test/fixtures/training/make_losses.py. */
function uniform(count: number, salt: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    let h = (Math.imul(i + 1, 0x9e3779b9) + Math.imul(salt, 0x85ebca6b)) >>> 0
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    return ((h ^ (h >>> 16)) >>> 0) / 2 ** 31 - 1
  })
}

function buildNet({ net, loss }: Recorded) {
  const g = new GraphBuilder('net', 'net.')
  const trainable: string[] = []
  const weight = (name: string, dims: number[]) => {
    const count = dims.reduce((a, b) => a * b, 1)
    const scale = Math.sqrt(dims.length > 1 ? count / dims[0]! : 4)
    const values = uniform(count, 100 + trainable.length).map((v) => Math.fround(v / scale))
    trainable.push(name)
    return g.initializer(name, 'float32', dims, name.includes('gain') ? values.map((v) => v * 0.5 + 1) : values)
  }
  let norms = 0
  const norm = (x: string) => {
    const i = norms++
    const inputs = [x, weight(`gain${i}`, [8]), weight(`shift${i}`, [8])]
    const mean = g.initializer(
      `mean${i}`,
      'float32',
      [8],
      uniform(8, 50 + i).map((v) => v * 0.2),
    )
    const variance = g.initializer(
      `variance${i}`,
      'float32',
      [8],
      uniform(8, 60 + i).map((v) => v * 0.3 + 1),
    )
    return g.add('BatchNormalization', [...inputs, mean, variance])
  }
  g.input('x', 'float32', ['N', 3, 12, 12])
  let x = 'x'
  if (net === 'mlp') {
    x = g.add('Slice', [g.add('Flatten', [x]), g.ints([0]), g.ints([20]), g.ints([1])])
    x = g.add('Relu', [g.add('Gemm', [x, weight('w1', [16, 20]), weight('b1', [16])], { transB: 1 })])
    x = g.add('Gemm', [x, weight('w2', [5, 16]), weight('b2', [5])], { transB: 1 })
  } else {
    x = g.add('Relu', [norm(g.add('Conv', [x, weight('conv1', [8, 3, 3, 3])], { pads: [1, 1, 1, 1] }))])
    x = g.add('MaxPool', [x], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] })
    x = norm(g.add('Conv', [x, weight('conv2', [8, 1, 3, 3])], { group: 8, strides: [2, 2], pads: [1, 1, 1, 1] }))
    x = g.add('Pad', [g.add('Clip', [x, g.floats(0), g.floats(6)]), g.ints([0, 0, 1, 1, 0, 0, 1, 1])])
    x = g.add('Relu', [g.add('Conv', [x, weight('conv3', [12, 8, 3, 3]), weight('bias3', [12])])])
    x = g.add('Flatten', [g.add('GlobalAveragePool', [x])])
    const outputs = loss === 'sigmoid' ? 1 : 5
    x = g.add('Gemm', [x, weight('fc', [outputs, 12]), weight('fcb', [outputs])], { transB: 1 })
  }
  g.output(x, 'float32', ['N', loss === 'sigmoid' ? 1 : 5])
  return { network: prepareNetwork(g.model(17), 16), logits: x, trainable }
}

async function train(recorded: Recorded, stepsPerRun: number) {
  const { net, loss, optimizer, mixup } = recorded
  const graph = buildTrainingGraph({
    ...buildNet(recorded),
    loss:
      loss === 'sigmoid'
        ? { kind: 'sigmoid' }
        : net === 'mlp'
          ? { kind: 'softmax' }
          : { kind: 'softmax', ...(mixup ? {} : { classWeights: [1, 2, 0.5, 1, 1.5] }), labelSmoothing: 0.1 },
    mixup,
    optimizer: { kind: optimizer },
    weightDecay: 0.02,
    ...(net === 'mlp' ? {} : { clipNorm: 0.5 }),
    batchStatistics: () => net === 'cnn-train',
  })
  const labels = Int32Array.from({ length: 64 }, (_, i) => ((i * 7) % 11) % (loss === 'sigmoid' ? 2 : 5))
  const data = uniform(64 * 432, 1).map((v, i) => Math.fround(v + labels[Math.floor(i / 432)]! * 0.1))
  const runner = await TrainingRunner.open(graph)
  runner.setRows({ data, labels })
  const losses: number[] = []
  for (let from = 0; from < 20; from += stepsPerRun) {
    const steps = Array.from({ length: stepsPerRun }, (_, k) => from + k)
    const rows = await runner.run({
      index: steps.flatMap((step) => Array.from({ length: 16 }, (_, i) => (step * 16 + i * 5) % 64)),
      lr: steps.map((step) => (optimizer === 'sgd' ? 0.05 : 0.01) * (1 - step / 40)),
      seed: 1,
      epoch: 0,
    })
    losses.push(...rows.loss)
  }
  const snapshot = runner.snapshot()
  await runner.close()
  return { losses, snapshot }
}

const name = ({ net, loss, optimizer, mixup }: Recorded) =>
  `${net}, ${loss}, ${optimizer}${mixup ? `, mixup ${mixup}` : ''}`

describe('training follows PyTorch 2.13', () => {
  it.each(runs.map((run) => [name(run), run] as const))('%s: 20 losses within 1e-4', async (_name, recorded) => {
    const { losses, snapshot } = await train(recorded, 5)
    const errors = losses.map((loss, i) => Math.abs(loss - recorded.losses[i]!) / recorded.losses[i]!)
    expect(Math.max(...errors)).toBeLessThan(1e-4)
    for (const [tensor, expected] of [
      ['mean1', recorded.mean],
      ['variance1', recorded.variance],
    ] as const) {
      if (!expected) continue
      const got = snapshot.get(tensor)!
      expect(Math.max(...expected.map((v, i) => Math.abs(v - got[i]!)))).toBeLessThan(2e-4)
    }
  })

  it('gives the same bits whether steps run one by one or many at a time', async () => {
    const recorded = runs.find(({ net, optimizer }) => net === 'cnn-train' && optimizer === 'adamw')!
    const [one, many] = [await train(recorded, 1), await train(recorded, 20)]
    expect(one.losses).toEqual(many.losses)
    for (const [tensor, values] of one.snapshot) expect(values).toEqual(many.snapshot.get(tensor))
  })
})
