import { matmul, reduceSum, reshape } from './arithmetic.js'
import type { BackwardContext } from './contract.js'
import type { Window } from './window.js'

/** Kernels with more taps than this (the stem of a network) go through a convolution instead of one product per tap. */
const maxTaps = 9

/**
 * The gradient at the weights, `[Co, Ci / group, kh, kw]`.
 *
 * - one group, small kernel: with channels first, each tap of the kernel is one product of `[Co, N·P]` and `[N·P, Ci]`;
 * - one group, large kernel: a convolution in which the batch plays the channels, with stride and dilation exchanged;
 * - depthwise: products and sums per tap;
 * - other groups: batched products per tap, summed over the batch.
 */
export function convWeights(context: BackwardContext, window: Window, group: number): string {
  const { g, node, dy } = context
  const [co, ciPerGroup, kh, kw] = context.shape(node.input[1]!) as [number, number, number, number]
  const [n, ci, height, width] = context.shape(node.input[0]!) as [number, number, number, number]
  const [oh, ow] = window.output
  if (group === 1 && kh * kw > maxTaps) return byConvolution(context, window)
  let x = node.input[0]!
  // What the last window reaches beyond the input; with a floor in the output's size it may be less than the declared padding.
  const reach = (axis: 0 | 1) =>
    (window.output[axis] - 1) * window.strides[axis] + window.dilations[axis] * (window.kernel[axis] - 1) + 1
  const after = [
    Math.max(0, reach(0) - window.begin[0] - height),
    Math.max(0, reach(1) - window.begin[1] - width),
  ] as const
  const joined = group === 1
  if (joined) x = g.add('Transpose', [x], { perm: [1, 0, 2, 3] })
  if (window.begin[0] + window.begin[1] + after[0] + after[1] > 0)
    x = g.add('Pad', [x, g.ints([0, 0, ...window.begin, 0, 0, ...after])])
  const padded = [height + window.begin[0] + after[0], width + window.begin[1] + after[1]]
  const tap = (row: number, col: number): string => {
    const from = [row * window.dilations[0], col * window.dilations[1]]
    const until = [from[0]! + (oh - 1) * window.strides[0] + 1, from[1]! + (ow - 1) * window.strides[1] + 1]
    if (window.strides.every((s) => s === 1) && oh === padded[0] && ow === padded[1]) return x
    return g.add('Slice', [x, g.ints(from), g.ints(until), g.ints([2, 3]), g.ints([...window.strides])])
  }
  const dyJoined = joined ? reshape(g, g.add('Transpose', [dy], { perm: [1, 0, 2, 3] }), [co, n * oh * ow]) : ''
  const coPerGroup = co / group
  const dyGrouped = joined ? '' : reshape(g, dy, [n, group, coPerGroup, oh * ow])
  const parts: string[] = []
  for (let row = 0; row < kh; row++) {
    for (let col = 0; col < kw; col++) {
      const slice = tap(row, col)
      let part: string
      if (joined) part = matmul(g, dyJoined, reshape(g, slice, [ci, n * oh * ow]), { transB: true })
      else if (ciPerGroup === 1)
        part = reduceSum(g, g.add('Mul', [dyGrouped, reshape(g, slice, [n, group, 1, oh * ow])]), [0, 3])
      else {
        const grouped = reshape(g, slice, [n, group, ciPerGroup, oh * ow])
        part = reduceSum(g, matmul(g, dyGrouped, grouped, { transB: true }), [0])
      }
      parts.push(kh * kw === 1 ? part : reshape(g, part, [co, ciPerGroup, 1]))
    }
  }
  const all = parts.length === 1 ? parts[0]! : g.add('Concat', parts, { axis: 2 })
  return reshape(g, all, [co, ciPerGroup, kh, kw])
}

function byConvolution(context: BackwardContext, window: Window): string {
  const { g, node, dy } = context
  const [kh, kw] = window.kernel
  const swap = (tensor: string) => g.add('Transpose', [tensor], { perm: [1, 0, 2, 3] })
  const full = g.add('Conv', [swap(node.input[0]!), swap(dy)], {
    kernel_shape: [...window.output],
    strides: [...window.dilations],
    dilations: [...window.strides],
    pads: [...window.begin, ...window.end],
  })
  // A stride that leaves rows over makes the result larger than the kernel.
  const cut = g.add('Slice', [full, g.ints([0, 0]), g.ints([kh, kw]), g.ints([2, 3])])
  return swap(cut)
}
