import { reduceSum } from '../arithmetic.js'
import type { GradientRule } from '../contract.js'

/** dx = y · (dy − Σ dy·y) along the axis. */
export const softmaxRule: GradientRule = {
  op: 'Softmax',
  backward({ g, node, dy, attributes }) {
    const y = node.output[0]!
    const sum = reduceSum(g, g.add('Mul', [dy, y]), [attributes.int('axis', -1)], true)
    return [g.add('Mul', [y, g.add('Sub', [dy, sum])])]
  },
}

/** dx = dy − exp(y) · Σ dy along the axis. */
export const logSoftmaxRule: GradientRule = {
  op: 'LogSoftmax',
  backward({ g, node, dy, attributes }) {
    const sum = reduceSum(g, dy, [attributes.int('axis', -1)], true)
    return [g.add('Sub', [dy, g.add('Mul', [g.add('Exp', [node.output[0]!]), sum])])]
  },
}
