import { exceptChannels, perChannel, product, reduceSum } from '../arithmetic.js'
import type { BackwardContext, ForwardContext, GradientRule } from '../contract.js'

/** 1 / √(variance + ε), `[C]`. */
function inverseDeviation(context: BackwardContext | ForwardContext, variance: string): string {
  const { g, attributes } = context
  const epsilon = g.floats(attributes.float('epsilon', 1e-5))
  return g.add('Div', [g.floats(1), g.add('Sqrt', [g.add('Add', [variance, epsilon])])])
}

/**
 * Normalises by the batch. onnxruntime overwrites the running statistics it is given and merges equal constants, so
 * each node gets private, distinct ones; with momentum 0 its outputs are the batch's own statistics, and the running
 * ones are updated here as PyTorch does it (unbiased variance).
 */
function trainForward(context: ForwardContext): void {
  const { g, node, attributes } = context
  const [x, scale, bias, mean, variance] = node.input
  const shape = context.shape(x!)
  const channels = shape[1]!
  const count = product(shape) / channels
  // Counting the constants written so far makes each of these unlike any other.
  const own = () => {
    const value = g.initializers.length + 0.377
    return g.floats(Array.from({ length: channels }, () => value))
  }
  const [, batchMean, batchVariance] = g.addMany(
    'BatchNormalization',
    [x!, scale!, bias!, own(), own()],
    { epsilon: { float: attributes.float('epsilon', 1e-5) }, momentum: { float: 0 }, training_mode: 1 },
    { outputs: [node.output[0]!, g.fresh('mean'), g.fresh('variance')] },
  )
  context.saved.set('mean', batchMean!)
  context.saved.set('inverse', inverseDeviation(context, batchVariance!))
  const momentum = attributes.float('momentum', 0.9)
  const blend = (running: string, now: string, factor: number) =>
    g.add('Add', [g.add('Mul', [running, g.floats(momentum)]), g.add('Mul', [now, g.floats((1 - momentum) * factor)])])
  context.update(mean!, blend(mean!, batchMean!, 1))
  context.update(variance!, blend(variance!, batchVariance!, count > 1 ? count / (count - 1) : 1))
}

/**
 * Frozen statistics: a per-channel affine map. Batch statistics: dx = A·dy + B·x + C per channel, which needs two sums
 * and no normalised copy of x.
 */
export const batchNormalizationRule: GradientRule = {
  op: 'BatchNormalization',
  forward(context) {
    if (context.batchStatistics) trainForward(context)
    else context.g.nodes.push(context.node)
  },
  backward(context) {
    const { g, node, dy } = context
    const [x, scale, , frozenMean, frozenVariance] = node.input
    const shape = context.shape(x!)
    const rank = shape.length
    const channels = shape[1]!
    const mean = context.saved.get('mean') ?? frozenMean!
    const inverse = context.saved.get('inverse') ?? inverseDeviation(context, frozenVariance!)
    const gain = g.add('Mul', [scale!, inverse])
    const wide = (vector: string) => perChannel(g, vector, channels, rank)
    const statistics = context.saved.has('mean')
    let dScale: string | undefined
    let dBias: string | undefined
    if (statistics || context.wanted(1) || context.wanted(2)) dBias = reduceSum(g, dy, exceptChannels(rank))
    if (statistics || context.wanted(1)) {
      const products = reduceSum(g, g.add('Mul', [dy, x!]), exceptChannels(rank))
      dScale = g.add('Mul', [inverse, g.add('Sub', [products, g.add('Mul', [mean, dBias!])])])
    }
    let dx: string | undefined
    if (context.wanted(0)) {
      dx = g.add('Mul', [dy, wide(gain)])
      if (statistics) {
        const share = g.floats(channels / product(shape))
        const slope = g.add('Neg', [g.add('Mul', [g.add('Mul', [gain, inverse]), g.add('Mul', [dScale!, share])])])
        const shift = g.add('Neg', [
          g.add('Add', [g.add('Mul', [gain, g.add('Mul', [dBias!, share])]), g.add('Mul', [slope, mean])]),
        ])
        dx = g.add('Add', [dx, g.add('Add', [g.add('Mul', [x!, wide(slope)]), wide(shift)])])
      }
    }
    return [dx, context.wanted(1) ? dScale : undefined, context.wanted(2) ? dBias : undefined]
  },
}
