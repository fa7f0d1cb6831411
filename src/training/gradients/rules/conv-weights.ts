import { withNode } from '../../../onnx/edit.js'
import { matmul, reduceSum, reshape } from '../arithmetic.js'
import type { BackwardContext } from '../contract.js'
import { phases } from '../strided.js'
import type { Window } from '../window.js'

/** Kernels with more taps than this (the stem of a network) go through a convolution instead of products. */
const maxTaps = 9

/**
 * The gradient at the weights, `[Co, Ci / group, kh, kw]`. A tap is one place of the kernel.
 *
 * - one group, large kernel: a convolution in which the batch plays the channels, with stride and dilation exchanged;
 * - one group, planes large beside the kernel: one product an image for all taps, summed over the batch, nothing
 *   transposed;
 * - one group, small planes: with channels first, each tap is one product of `[Co, N·P]` and `[N·P, Ci]`;
 * - depthwise: products and sums per tap;
 * - other groups: batched products per tap, summed over the batch.
 */
export function convWeights(context: BackwardContext, window: Window, group: number): string {
  const [co, , kh, kw] = context.shape(context.node.input[1]!) as [number, number, number, number]
  const ci = context.shape(context.node.input[0]!)[1]!
  if (group > 1) return byTaps(context, window, group)
  const picked = pickedRows(context, window)
  if (picked) return convWeights(...picked, 1)
  if (kh * kw > maxTaps) return byConvolution(context, window)
  // Written and read again: products of the whole kernel for each image, or both operands with their channels first.
  const wide = kh * kw * co * ci <= (window.output[0] * window.output[1] * (co + ci)) / (kh * kw === 1 ? 2 : 1)
  return wide && window.strides.every((s) => s === 1) ? byImage(context, window) : byTaps(context, window, 1)
}

/**
 * A kernel of one tap with a stride, as the same without one over what it reads; undefined for other windows. Averages
 * of one value are those values, picked on all threads.
 */
function pickedRows(context: BackwardContext, window: Window): [BackwardContext, Window] | undefined {
  const { g, node } = context
  const one = window.kernel.every((n) => n === 1) && [...window.begin, ...window.end].every((n) => n === 0)
  if (!one || window.strides.every((s) => s === 1)) return undefined
  const picked = g.add('AveragePool', [node.input[0]!], { kernel_shape: [1, 1], strides: [...window.strides] })
  const shape = (tensor: string) =>
    tensor === picked ? [...context.shape(node.input[0]!).slice(0, 2), ...window.output] : context.shape(tensor)
  const plain: Window = { ...window, strides: [1, 1], input: window.output }
  return [{ ...context, node: withNode(node, { input: node.input.with(0, picked) }), shape }, plain]
}

/**
 * Rows and columns after the input that the last window reaches; with a floor in the output's size, less than was
 * declared.
 */
function reached(window: Window): [number, number] {
  const after = (axis: 0 | 1): number => {
    const reach =
      (window.output[axis] - 1) * window.strides[axis] + window.dilations[axis] * (window.kernel[axis] - 1) + 1
    return Math.max(0, reach - window.begin[axis] - window.input[axis])
  }
  return [after(0), after(1)]
}

/** Pads the two last axes by zeros where there is anything to pad. */
function padded(context: BackwardContext, x: string, begin: readonly number[], end: readonly number[]): string {
  if ([...begin, ...end].every((n) => n === 0)) return x
  return context.g.add('Pad', [x, context.g.ints([0, 0, ...begin, 0, 0, ...end])])
}

/**
 * All taps of an image in one product. A tap moves the input against the gradient by rows and by columns: the columns
 * are cut from the input once for each column of the kernel, the rows are zeros above and below the gradient, once for
 * each of its rows. Stacked in the channels, `[Co·kh, P']` and `[P', kw·Ci]` give every pair.
 */
function byImage(context: BackwardContext, window: Window): string {
  const { g, node } = context
  const [co, ci, kh, kw] = context.shape(node.input[1]!) as [number, number, number, number]
  const n = context.shape(node.input[0]!)[0]!
  const [oh, ow] = window.output
  const [down, right] = window.dilations
  const rows = oh + (kh - 1) * down
  const x = padded(context, node.input[0]!, window.begin, reached(window))
  const columns = Array.from({ length: kw }, (_, col) => {
    const whole = kw === 1 && window.input[1] + window.begin[1] + reached(window)[1] === ow
    return whole ? x : g.add('Slice', [x, g.ints([col * right]), g.ints([col * right + ow]), g.ints([3])])
  })
  const stacked = columns.length === 1 ? columns[0]! : g.add('Concat', columns, { axis: 1 })
  const products = matmul(g, shiftedRows(context, window), reshape(g, stacked, [n, kw * ci, rows * ow]), {
    transB: true,
  })
  const sum = reduceSum(g, products, [0])
  if (kh * kw === 1) return reshape(g, sum, [co, ci, 1, 1])
  return g.add('Transpose', [reshape(g, sum, [co, kh, kw, ci])], { perm: [0, 3, 1, 2] })
}

/**
 * `[N, Co·kh, (oh + zeros)·ow]`: each plane of the gradient with its zeros above and below, for one row of the kernel
 * after another.
 */
function shiftedRows({ g, dy, node, shape }: BackwardContext, window: Window): string {
  const [n, co] = shape(node.output[0]!) as [number, number]
  const kh = window.kernel[0]
  const [oh, ow] = window.output
  const down = window.dilations[0]
  const plane = (oh + (kh - 1) * down) * ow
  if (kh === 1) return reshape(g, dy, [n, co, plane])
  // Between two copies lie the zeros below the one and above the other, always as many.
  const zeros = (rows: number) => g.add('ConstantOfShape', [g.ints([n, co, rows * ow])])
  const between = zeros(kh * down)
  const own = reshape(g, dy, [n, co, oh * ow])
  const list = Array.from({ length: kh }, (_, row) => (row === 0 ? [own] : [between, own])).flat()
  return reshape(g, g.add('Concat', list, { axis: 2 }), [n, co * kh, plane])
}

function byTaps(context: BackwardContext, window: Window, group: number): string {
  const { g, node, dy } = context
  const [co, ciPerGroup, kh, kw] = context.shape(node.input[1]!) as [number, number, number, number]
  const [n, ci, height, width] = context.shape(node.input[0]!) as [number, number, number, number]
  const [oh, ow] = window.output
  const joined = group === 1
  const after = reached(window)
  let x = node.input[0]!
  if (joined) x = g.add('Transpose', [x], { perm: [1, 0, 2, 3] })
  const lead = joined ? [ci, n] : [n, ci]
  const size = [height + window.begin[0] + after[0], width + window.begin[1] + after[1]] as const
  // Taps of a strided window are picked from few phases, not from the input nine times over.
  const strided = kh * kw > 1 ? phases(g, x, window, { lead, size }) : undefined
  if (!strided) x = padded(context, x, window.begin, after)
  const tap = (row: number, col: number): string => {
    const from = [row * window.dilations[0], col * window.dilations[1]] as const
    if (strided) return strided(from)
    if (window.strides.every((s) => s === 1) && oh === size[0] && ow === size[1]) return x
    const until = [from[0] + (oh - 1) * window.strides[0] + 1, from[1] + (ow - 1) * window.strides[1] + 1]
    return g.add('Slice', [x, g.ints([...from]), g.ints(until), g.ints([2, 3]), g.ints([...window.strides])])
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
      parts.push(kh * kw === 1 ? part : reshape(g, part, [1, co * ciPerGroup]))
    }
  }
  if (parts.length === 1) return reshape(g, parts[0]!, [co, ciPerGroup, 1, 1])
  // Turned by a product with ones on the diagonal, which runs on all threads; laying value beside value does not.
  const taps = kh * kw
  const identity = Array.from({ length: taps * taps }, (_, i) => (i % (taps + 1) === 0 ? 1 : 0))
  const all = matmul(g, g.add('Concat', parts, { axis: 0 }), g.floats(identity, [taps, taps]), { transA: true })
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
