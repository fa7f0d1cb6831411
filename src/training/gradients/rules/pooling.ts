import { clone } from '@bufbuild/protobuf'
import type { GraphBuilder } from '../../../onnx/build.js'
import { NodeProtoSchema } from '../../../onnx/generated/onnx_pb.js'
import { product, reshape } from '../arithmetic.js'
import { type GradientRule, type RuleContext, unsupported } from '../contract.js'
import { readWindow, transposeAttributes, type Window } from '../window.js'

function kernelOf(context: RuleContext): number[] {
  const kernel = context.attributes.ints('kernel_shape')
  if (!kernel) throw unsupported(context.node, 'it has no kernel_shape')
  return kernel
}

/** The forward pass also writes where each maximum was; the gradient is added there. */
export const maxPoolRule: GradientRule = {
  op: 'MaxPool',
  forward(context) {
    const { g, node } = context
    readWindow(context, kernelOf(context))
    const indices = node.output[1] || g.fresh('indices')
    context.saved.set('indices', indices)
    const withIndices = clone(NodeProtoSchema, node)
    withIndices.output = [node.output[0]!, indices]
    g.nodes.push(withIndices)
  },
  backward({ g, node, dy, shape, saved, attributes }) {
    if (attributes.int('storage_order', 0) !== 0) throw unsupported(node, 'its indices are column-major')
    const x = shape(node.input[0]!)
    const flat = g.add(
      'ScatterElements',
      [g.add('ConstantOfShape', [g.ints([product(x)])]), reshape(g, saved.get('indices')!, [-1]), reshape(g, dy, [-1])],
      { axis: 0, reduction: 'add' },
    )
    return [reshape(g, flat, x)]
  },
}

/** How many inputs each window averaged, `[oh, ow]`. */
function counts(window: Window, includePad: boolean): number[] {
  const along = (axis: 0 | 1): number[] =>
    Array.from({ length: window.output[axis] }, (_, o) => {
      const from = o * window.strides[axis] - window.begin[axis]
      const until = from + window.kernel[axis]
      const size = window.input[axis]
      return includePad ? Math.min(until, size + window.end[axis]) - from : Math.min(until, size) - Math.max(from, 0)
    })
  const [rows, cols] = [along(0), along(1)]
  return rows.flatMap((r) => cols.map((c) => r * c))
}

/** Spreads `[N, C, oh, ow]` over `[N, C, H, W]` by a transposed convolution with ones, each channel for itself. */
function spread(g: GraphBuilder, gradient: string, window: Window, planes: number): string {
  const [kh, kw] = window.kernel
  const ones = g.floats(
    Array.from({ length: kh * kw }, () => 1),
    [1, 1, kh, kw],
  )
  return g.add(
    'ConvTranspose',
    [reshape(g, gradient, [planes, 1, ...window.output]), ones],
    transposeAttributes(window),
  )
}

/** The gradient of a mean over all of a plane. */
function expandMean(g: GraphBuilder, dy: string, x: readonly number[]): string {
  // A factor with all axes: see OptimizerStep.number.
  const share = g.add('Mul', [
    dy,
    g.floats(
      1 / product(x.slice(2)),
      x.map(() => 1),
    ),
  ])
  return g.add('Expand', [share, g.ints(x)])
}

export const averagePoolRule: GradientRule = {
  op: 'AveragePool',
  backward(context) {
    const { g, node, dy, attributes } = context
    const x = context.shape(node.input[0]!)
    const window = readWindow(context, kernelOf(context))
    if (window.dilations.some((d) => d !== 1)) throw unsupported(node, 'it is dilated')
    // One window over everything, as before a classifier: no convolution is needed.
    const whole = ([0, 1] as const).every(
      (i) => window.kernel[i] === window.input[i] && window.output[i] === 1 && window.begin[i] + window.end[i] === 0,
    )
    if (whole) return [expandMean(g, dy, x)]
    const divisor = counts(window, attributes.int('count_include_pad', 0) === 1).map((n) => 1 / n)
    const shares = g.add('Mul', [dy, g.floats(divisor, [1, 1, ...window.output])])
    return [reshape(g, spread(g, shares, window, x[0]! * x[1]!), x)]
  },
}

export const globalAveragePoolRule: GradientRule = {
  op: 'GlobalAveragePool',
  backward: ({ g, node, dy, shape }) => [expandMean(g, dy, shape(node.input[0]!))],
}
