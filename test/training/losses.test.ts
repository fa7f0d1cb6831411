import { describe, expect, it } from '@jest/globals'
import { GraphBuilder } from '../../src/onnx/build.js'
import { buildTrainingGraph } from '../../src/training/graph.js'
import type { Loss } from '../../src/training/losses.js'
import { prepareNetwork } from '../../src/training/network.js'
import { TrainingRunner } from '../../src/training/runner.js'

const data = [1, 2, -1, 0.5, 0.25, -2, 3, 1]
const start = { w: [0.3, -0.7], b: [0.1] }
const rowWeights = [1, 1, 1, 0]

/** One step of plain SGD at rate 1 over a model of two weights and a bias: what moved is the gradient. */
async function step(loss: Loss, labels: readonly number[]) {
  const g = new GraphBuilder('net')
  g.input('x', 'float32', ['N', 2])
  g.initializer('w', 'float32', [1, 2], Float32Array.from(start.w))
  g.initializer('b', 'float32', [1], Float32Array.from(start.b))
  g.output(g.add('Gemm', ['x', 'w', 'b'], { transB: 1 }, { outputs: ['z'] }), 'float32', ['N', 1])
  const runner = await TrainingRunner.open(
    buildTrainingGraph({
      network: prepareNetwork(g.model(17), 4),
      logits: 'z',
      trainable: ['w', 'b'],
      loss,
      optimiser: { kind: 'sgd', momentum: 0 },
    }),
  )
  runner.setRows({ data: Float32Array.from(data), labels, weights: Float32Array.from(rowWeights) })
  const result = await runner.run({ index: [0, 1, 2, 3], rates: [1], seed: 0, epoch: 0 })
  const after = runner.snapshot()
  await runner.close()
  const moved = [...start.w.map((v, i) => v - after.get('w')![i]!), start.b[0]! - after.get('b')![0]!]
  return { loss: result.loss[0]!, correct: result.correct[0]!, gradient: moved }
}

/** Binary cross-entropy from its definition, in double precision: −t·log p − (1 − t)·log(1 − p), a weighted mean over the rows. */
function defined(
  parameters: readonly number[],
  labels: readonly number[],
  classWeights: readonly number[],
  smoothing: number,
) {
  const [w0, w1, b] = parameters as [number, number, number]
  let [sum, weight] = [0, 0]
  labels.forEach((label, row) => {
    const p = 1 / (1 + Math.exp(-(data[2 * row]! * w0 + data[2 * row + 1]! * w1 + b)))
    const target = label * (1 - smoothing) + smoothing / 2
    const own = classWeights[label]! * rowWeights[row]!
    sum -= own * (target * Math.log(p) + (1 - target) * Math.log(1 - p))
    weight += own
  })
  return sum / weight
}

describe('the sigmoid loss is what its definition says, value and derivative', () => {
  const labels = [1, 0, 0, 1]
  it.each([
    [undefined, 0],
    [[0.5, 3], 0],
    [[1, 1], 0.2],
    [[2, 0.75], 0.1],
  ] as const)('class weights %j, smoothing %d', async (classWeights, smoothing) => {
    const { loss, gradient } = await step(
      { kind: 'sigmoid', smoothing, ...(classWeights ? { classWeights } : {}) },
      labels,
    )
    const at = (moved: readonly number[]) => defined(moved, labels, classWeights ?? [1, 1], smoothing)
    const here = [...start.w, ...start.b]
    expect(loss).toBeCloseTo(at(here), 5)
    here.forEach((_, i) => {
      const shifted = (by: number) => at(here.map((v, j) => (i === j ? v + by : v)))
      expect(gradient[i]).toBeCloseTo((shifted(1e-5) - shifted(-1e-5)) / 2e-5, 5)
    })
  })

  it('counts the rows on the right side of one half, by their weights', async () => {
    // Scores −1, −0.55, 1.575 and 0.3: rows 1 right, 0 and 2 wrong; row 3 has no weight.
    expect((await step({ kind: 'sigmoid' }, labels)).correct).toBe(1)
  })
})
