import { reduceSum, reshape } from '../arithmetic.js'
import type { BackwardContext, GradientRule } from '../contract.js'
import { spreadOut } from '../strided.js'
import { readWindow, transposeAttributes, type Window } from '../window.js'
import { convWeights } from './conv-weights.js'

/**
 * The gradient at the input. Stride 1: a convolution with the kernel flipped and its channels exchanged, which runs at
 * the speed of a forward pass. Kernel 1, stride above 1: that on the small plane, spread out. Otherwise the transposed
 * convolution.
 */
function convInput(context: BackwardContext, window: Window, group: number): string {
  const { g, node, dy } = context
  const weights = node.input[1]!
  const [co, ciPerGroup, kh, kw] = context.shape(weights) as [number, number, number, number]
  const reach = [0, 1].map((i) => window.dilations[i]! * (window.kernel[i]! - 1))
  // Padding after the last row follows from the sizes: it is what makes the result as large as the input.
  const before = [0, 1].map((i) => reach[i]! - window.begin[i]!)
  const after = [0, 1].map((i) => window.input[i]! - window.output[i]! + reach[i]! - before[i]!)
  const [s] = window.strides
  const picks = kh * kw === 1 && group === 1 && window.begin.every((n) => n === 0) && s > 1
  if (picks && [0, 1].every((i) => window.strides[i] === s && window.input[i] === s * window.output[i]!)) {
    const small = g.add('Conv', [dy, g.add('Transpose', [weights], { perm: [1, 0, 2, 3] })], { kernel_shape: [1, 1] })
    return spreadOut(g, small, [context.shape(node.input[0]!)[0]!, ciPerGroup, ...window.output], s)
  }
  const plain = window.strides.every((s) => s === 1) && [...before, ...after].every((n) => n >= 0)
  if (!plain) return g.add('ConvTranspose', [dy, weights], { ...transposeAttributes(window), group })
  const taps = kh * kw
  let flipped = weights
  if (group > 1 || taps > 1) {
    flipped = reshape(g, weights, [group, co / group, ciPerGroup, taps])
    if (co > group || ciPerGroup > 1) flipped = g.add('Transpose', [flipped], { perm: [0, 2, 1, 3] })
    if (taps > 1) {
      // A product with ones on the other diagonal: three times as fast as picking nine values from nine.
      const rows = co * ciPerGroup
      const reversal = Array.from({ length: taps * taps }, (_, i) =>
        Math.floor(i / taps) + (i % taps) === taps - 1 ? 1 : 0,
      )
      flipped = g.add('MatMul', [reshape(g, flipped, [rows, taps]), g.floats(reversal, [taps, taps])])
    }
    flipped = reshape(g, flipped, [group * ciPerGroup, co / group, kh, kw])
  } else flipped = g.add('Transpose', [weights], { perm: [1, 0, 2, 3] })
  return g.add('Conv', [dy, flipped], {
    kernel_shape: [kh, kw],
    dilations: [...window.dilations],
    pads: [...before, ...after],
    group,
  })
}

export const convRule: GradientRule = {
  op: 'Conv',
  backward(context) {
    const { g, node, dy, attributes } = context
    const window = readWindow(context, context.shape(node.input[1]!).slice(2))
    const group = attributes.int('group', 1)
    return [
      context.wanted(0) ? convInput(context, window, group) : undefined,
      context.wanted(1) ? convWeights(context, window, group) : undefined,
      node.input[2] && context.wanted(2) ? reduceSum(g, dy, [0, 2, 3]) : undefined,
    ]
  },
}
