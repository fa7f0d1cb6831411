import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { GraphBuilder } from '../../src/onnx/build.js'
import { foldNorms } from '../../src/training/graph/fold-norms.js'
import { buildTrainingGraph } from '../../src/training/graph/graph.js'
import { prepareNetwork } from '../../src/training/network.js'
import { TrainingRunner } from '../../src/training/runner.js'

/**
 * Two convolutions with norms: one with a bias, one depthwise; `seen` shows their own outputs, so that they cannot be
 * folded.
 */
function build(seen: boolean) {
  const random = createRandom('norms')
  const g = new GraphBuilder('norms')
  const values = (name: string, dims: number[], positive = false): string => {
    const count = dims.reduce((a, b) => a * b, 1)
    const draw = () => (positive ? 0.5 + random.next() : random.normal() * 0.5)
    return g.initializer(name, 'float32', dims, Float32Array.from({ length: count }, draw))
  }
  const norm = (x: string, name: string): string => {
    const parts = [values(`${name}.gain`, [4]), values(`${name}.shift`, [4]), values(`${name}.mean`, [4])]
    return g.add('BatchNormalization', [x, ...parts, values(`${name}.variance`, [4], true)], {
      epsilon: { float: 0.01 },
    })
  }
  g.input('x', 'float32', ['N', 2, 6, 6])
  const a = g.add('Conv', ['x', values('a.w', [4, 2, 3, 3]), values('a.b', [4])], { pads: [1, 1, 1, 1] })
  const b = g.add('Conv', [g.add('Relu', [norm(a, 'a')]), values('b.w', [4, 1, 3, 3])], { group: 4 })
  const pooled = g.add('Flatten', [g.add('GlobalAveragePool', [norm(b, 'b')])])
  const logits = g.add('Gemm', [pooled, values('fc', [3, 4])], { transB: 1 })
  for (const name of seen ? [logits, a, b] : [logits]) g.output(name, 'float32', ['N'])
  return { network: prepareNetwork(g.model(17), 4), logits }
}
const trainable = ['a.w', 'a.b', 'a.gain', 'a.shift', 'b.w', 'b.gain', 'b.shift', 'fc']

async function train(seen: boolean): Promise<Map<string, Float32Array>> {
  const runner = await TrainingRunner.open(
    buildTrainingGraph({
      ...build(seen),
      trainable,
      loss: { kind: 'softmax' },
      optimizer: { kind: 'sgd', momentum: 0 },
    }),
  )
  const random = createRandom('rows')
  runner.setRows({ data: Float32Array.from({ length: 4 * 72 }, () => random.normal()), labels: [0, 1, 2, 0] })
  await runner.run({ index: [0, 1, 2, 3, 3, 1, 2, 0], lr: [0.5, 0.5], seed: 0, epoch: 0 })
  const end = runner.snapshot()
  await runner.close()
  return end
}

describe('batch norms with frozen statistics', () => {
  const { network } = build(false)
  const kinds = (wanted: readonly string[], batch = false) =>
    foldNorms(network, new Set(wanted), () => batch).nodes.filter(({ opType }) => opType === 'BatchNormalization')
      .length

  it('are multiplied into the convolutions before them where gradients pass, and only there', () => {
    expect(kinds(trainable)).toBe(0)
    expect(kinds(['b.w'])).toBe(1)
    expect(kinds(['fc'])).toBe(2)
    expect(kinds(trainable, true)).toBe(2)
    const { network: shown } = build(true)
    expect(foldNorms(shown, new Set(trainable), () => false)).toBe(shown)
  })

  it('and learn the same as beside them', async () => {
    const [folded, plain] = [await train(false), await train(true)]
    for (const name of trainable) {
      const expected = plain.get(name)!
      folded.get(name)!.forEach((value, i) => {
        expect(value).toBeCloseTo(expected[i]!, 5)
      })
    }
  })
})
