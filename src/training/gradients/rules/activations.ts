import type { GraphBuilder } from '../../../onnx/build.js'
import { toFloat } from '../arithmetic.js'
import { type BackwardContext, type GradientRule, unsupported } from '../contract.js'

/** A rule of an op with one differentiable input. */
function unary(op: string, derivative: (context: BackwardContext, x: string, y: string) => string): GradientRule {
  return {
    op,
    backward: (context) => [derivative(context, context.node.input[0]!, context.node.output[0]!)],
  }
}

/** So steep that the ramp of a HardSigmoid is a step for every number that is not denormal. */
const steep = 1e30

/**
 * 1 where `sign`·x > `sign`·bound, 0 where it is less, either at the bound itself unless that is 0, where it is 0. A
 * comparison and a cast of its result take onnxruntime four times as long: they run on one thread.
 */
function beyond(g: GraphBuilder, x: string, bound: number, sign: 1 | -1): string {
  return g.add('HardSigmoid', [x], { alpha: { float: sign * steep }, beta: { float: -sign * steep * bound } })
}

/** dx = dy where y > 0. */
export const reluRule = unary('Relu', ({ g, dy }, _x, y) => g.add('Mul', [dy, beyond(g, y, 0, 1)]))

/** dx = dy where x > 0, α·dy elsewhere. */
export const leakyReluRule = unary('LeakyRelu', ({ g, dy, attributes }, x) =>
  g.add('Where', [
    g.add('Greater', [x, g.floats(0)]),
    dy,
    g.add('Mul', [dy, g.floats(attributes.float('alpha', 0.01))]),
  ]),
)

/** dx = dy · y · (1 − y). */
export const sigmoidRule = unary('Sigmoid', ({ g, dy }, _x, y) =>
  g.add('Mul', [dy, g.add('Mul', [y, g.add('Sub', [g.floats(1), y])])]),
)

/** dx = dy · (1 − y²). */
export const tanhRule = unary('Tanh', ({ g, dy }, _x, y) =>
  g.add('Mul', [dy, g.add('Sub', [g.floats(1), g.add('Mul', [y, y])])]),
)

/** dx = dy · y. */
export const expRule = unary('Exp', ({ g, dy }, _x, y) => g.add('Mul', [dy, y]))

/** dx = dy / (2·y). */
export const sqrtRule = unary('Sqrt', ({ g, dy }, _x, y) => g.add('Div', [g.add('Mul', [dy, g.floats(0.5)]), y]))

/** dx = dy inside the bounds; ReLU6 is Clip(0, 6). */
export const clipRule: GradientRule = {
  op: 'Clip',
  backward(context) {
    const { g, node, dy } = context
    const [x, low, high] = node.input
    if (context.wanted(1) || context.wanted(2)) throw unsupported(node, 'its bounds would have to be trained')
    const inside = (input: 1 | 2, op: 'GreaterOrEqual' | 'LessOrEqual', sign: 1 | -1): string => {
      const bound = context.constant(input)?.[0]
      if (bound === undefined) return toFloat(g, g.add(op, [x!, node.input[input]!]))
      return beyond(g, x!, bound, sign)
    }
    let gradient = dy
    if (low) gradient = g.add('Mul', [gradient, inside(1, 'GreaterOrEqual', 1)])
    if (high) gradient = g.add('Mul', [gradient, inside(2, 'LessOrEqual', -1)])
    return [gradient]
  },
}

/** y = max(0, min(1, α·x + β)): dx = α·dy where 0 < y < 1. */
export const hardSigmoidRule = unary('HardSigmoid', ({ g, dy, attributes }, _x, y) => {
  const inside = g.add('And', [g.add('Greater', [y, g.floats(0)]), g.add('Less', [y, g.floats(1)])])
  return g.add('Mul', [dy, g.add('Mul', [toFloat(g, inside), g.floats(attributes.float('alpha', 0.2))])])
})

/** y = x·h(x) with h = HardSigmoid(1/6, 1/2): dx = dy · (h + x/6 where |x| < 3). */
export const hardSwishRule = unary('HardSwish', ({ g, dy }, x) => {
  const h = g.add('HardSigmoid', [x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } })
  const inside = toFloat(g, g.add('Less', [g.add('Abs', [x]), g.floats(3)]))
  const slope = g.add('Add', [h, g.add('Mul', [inside, g.add('Mul', [x, g.floats(1 / 6)])])])
  return g.add('Mul', [dy, slope])
})
