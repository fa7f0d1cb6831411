import { toFloat } from './arithmetic.js'
import { type BackwardContext, type GradientRule, unsupported } from './contract.js'

/** A rule of an op with one differentiable input. */
function unary(op: string, derivative: (context: BackwardContext, x: string, y: string) => string): GradientRule {
  return {
    op,
    backward: (context) => [derivative(context, context.node.input[0]!, context.node.output[0]!)],
  }
}

/** dx = dy where y > 0. */
export const reluRule = unary('Relu', ({ g, dy }, _x, y) =>
  g.add('Mul', [dy, toFloat(g, g.add('Greater', [y, g.floats(0)]))]),
)

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

/** dx = dy inside the bounds (both included, as PyTorch has it); ReLU6 is Clip(0, 6). */
export const clipRule: GradientRule = {
  op: 'Clip',
  backward(context) {
    const { g, node, dy } = context
    const [x, low, high] = node.input
    if (context.wanted(1) || context.wanted(2)) throw unsupported(node, 'its bounds would have to be trained')
    let gradient = dy
    if (low) gradient = g.add('Mul', [gradient, toFloat(g, g.add('GreaterOrEqual', [x!, low]))])
    if (high) gradient = g.add('Mul', [gradient, toFloat(g, g.add('LessOrEqual', [x!, high]))])
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
