import { matmul, product, reshape, sumTo } from '../arithmetic.js'
import { type GradientRule, unsupported } from '../contract.js'

/** Y = A·B: dA = dY·Bᵀ, dB = Aᵀ·dY, summed over broadcast batch axes. */
export const matMulRule: GradientRule = {
  op: 'MatMul',
  backward(context) {
    const { g, node, dy } = context
    const [a, b] = [node.input[0]!, node.input[1]!]
    const [aShape, bShape, yShape] = [context.shape(a), context.shape(b), context.shape(node.output[0]!)]
    if (aShape.length < 2 || bShape.length < 2) throw unsupported(node, 'one of its factors is a vector')
    const n = bShape.at(-1)!
    const k = aShape.at(-1)!
    const batch = yShape.slice(0, -2)
    let da: string | undefined
    let db: string | undefined
    if (context.wanted(0)) da = sumTo(g, matmul(g, dy, b, { transB: true }), [...batch, aShape.at(-2)!, k], aShape)
    if (context.wanted(1)) {
      if (bShape.length === 2 && aShape.length > 2) {
        const rows = product(aShape) / k
        db = matmul(g, reshape(g, a, [rows, k]), reshape(g, dy, [rows, n]), { transA: true })
      } else db = sumTo(g, matmul(g, a, dy, { transA: true }), [...batch, k, n], bShape)
    }
    return [da, db]
  },
}
