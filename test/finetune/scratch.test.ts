import { describe, expect, it } from '@jest/globals'
import { createRandom } from '../../src/base/random.js'
import { reinitialised } from '../../src/finetune/plan/graphs.js'
import { buildHeaded } from '../../src/finetune/plan/headed.js'
import { headWeight } from '../../src/finetune/plan/network.js'
import { namedRecipe } from '../../src/images/recipe/recipe.js'
import { encodeModel, GraphBuilder } from '../../src/onnx/build.js'
import { decodeModel } from '../../src/onnx/read.js'
import { floatsOf } from '../../src/onnx/values.js'
import { graphOf } from '../../src/onnx/walk.js'

const side = 16
const channels = 32

/** Convolution with bias, batch norm, ReLU, mean over the plane, classifier: every weight is 7. */
function normed() {
  const g = new GraphBuilder('normed')
  const sevens = (name: string, dims: readonly number[]) => {
    const count = dims.reduce((product, n) => product * n, 1)
    g.initializer(name, 'float32', dims, new Float32Array(count).fill(7))
  }
  g.input('data', 'float32', [1, 3, side, side])
  sevens('conv.w', [channels, 3, 5, 5])
  sevens('conv.b', [channels])
  for (const name of ['gain', 'shift', 'mean', 'variance']) sevens(name, [channels])
  sevens('fc.w', [3, channels])
  g.add('Conv', ['data', 'conv.w', 'conv.b'], {}, { outputs: ['conv'] })
  g.add('BatchNormalization', ['conv', 'gain', 'shift', 'mean', 'variance'], {}, { outputs: ['norm'] })
  g.add('Relu', ['norm'], {}, { outputs: ['relu'] })
  g.add('GlobalAveragePool', ['relu'], {}, { outputs: ['pooled'] })
  g.add('Flatten', ['pooled'], {}, { outputs: ['flat'] })
  g.add('Gemm', ['flat', 'fc.w'], { transB: 1 }, { outputs: ['out'] })
  g.output('out', 'float32', [1, 3])
  return decodeModel(encodeModel(g.model(13)))
}

describe('a network initialised again', () => {
  const recipe = namedRecipe('torchvision', { width: side, height: side })
  const random = createRandom(3)
  const network = buildHeaded(normed(), { recipe, outputs: 2, random })
  const values = (seed: number) =>
    new Map(
      graphOf(reinitialised(network, seed).model).initializer.map((entry) => [entry.name, Array.from(floatsOf(entry))]),
    )

  it('draws convolutions as He et al. 2015, with variance 2 / fan-in', () => {
    const weights = values(0).get('conv.w')!
    const fanIn = 3 * 5 * 5
    const mean = weights.reduce((a, b) => a + b, 0) / weights.length
    const variance = weights.reduce((sum, w) => sum + (w - mean) ** 2, 0) / weights.length
    // 2,400 draws: three standard errors are 9 % of the variance, 0.06 standard deviations of the mean.
    expect(Math.abs(variance / (2 / fanIn) - 1)).toBeLessThan(0.09)
    expect(Math.abs(mean)).toBeLessThan(0.06 * Math.sqrt(2 / fanIn))
  })

  it('sets biases, shifts and running means to 0, gains and running variances to 1', () => {
    const all = values(0)
    for (const name of ['conv.b', 'shift', 'mean']) expect(all.get(name)).toEqual(new Array(channels).fill(0))
    for (const name of ['gain', 'variance']) expect(all.get(name)).toEqual(new Array(channels).fill(1))
  })

  it('is a function of the seed, and leaves the new layer as it was drawn', () => {
    expect(values(5).get('conv.w')).toEqual(values(5).get('conv.w'))
    expect(values(5).get('conv.w')).not.toEqual(values(6).get('conv.w'))
    const head = graphOf(network.model).initializer.find(({ name }) => name === headWeight)!
    expect(values(5).get(headWeight)).toEqual(Array.from(floatsOf(head)))
  })
})
