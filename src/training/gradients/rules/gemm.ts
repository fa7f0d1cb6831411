import { matmul, sumTo } from '../arithmetic.js'
import type { GradientRule } from '../contract.js'

/** Y = α·A'·B' + β·C, where ' is an optional transposition. */
export const gemmRule: GradientRule = {
  op: 'Gemm',
  backward(context) {
    const { g, node, dy, attributes } = context
    const [a, b, c] = [node.input[0]!, node.input[1]!, node.input[2]]
    const transA = attributes.int('transA', 0) === 1
    const transB = attributes.int('transB', 0) === 1
    const alpha = attributes.float('alpha', 1)
    const beta = attributes.float('beta', 1)
    let da: string | undefined
    let db: string | undefined
    let dc: string | undefined
    if (context.wanted(0)) {
      da = transA
        ? matmul(g, b, dy, { transA: transB, transB: true, alpha })
        : matmul(g, dy, b, { transB: !transB, alpha })
    }
    if (context.wanted(1)) {
      db = transB
        ? matmul(g, dy, a, { transA: true, transB: transA, alpha })
        : matmul(g, a, dy, { transA: !transA, alpha })
    }
    if (c && context.wanted(2)) {
      const sum = sumTo(g, dy, context.shape(node.output[0]!), context.shape(c))
      dc = beta === 1 ? sum : g.add('Mul', [sum, g.floats(beta)])
    }
    return [da, db, dc]
  },
}
