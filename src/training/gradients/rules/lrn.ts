import type { GraphBuilder } from '../../../onnx/build.js'
import type { GradientRule, RuleContext } from '../contract.js'

/**
 * Sums of neighbouring channels as a 1×1 convolution with a banded kernel, about four times faster than onnxruntime's
 * LRN.
 */
function windowSum(
  context: RuleContext,
  x: string,
  options: { readonly factor: number; readonly bias?: number | undefined; readonly transposed?: boolean | undefined },
): string {
  const { factor, bias, transposed = false } = options
  const { g, node, attributes } = context
  const channels = context.shape(node.input[0]!)[1]!
  const size = attributes.int('size', 5)
  const before = Math.floor((size - 1) / 2)
  const after = Math.ceil((size - 1) / 2)
  const band = new Float32Array(channels * channels)
  for (let c = 0; c < channels; c++) {
    for (let d = Math.max(0, c - before); d <= Math.min(channels - 1, c + after); d++)
      band[transposed ? d * channels + c : c * channels + d] = factor
  }
  const kernel = g.initializer(g.fresh('band'), 'float32', [channels, channels, 1, 1], band)
  const inputs = bias === undefined ? [x, kernel] : [x, kernel, g.floats(Array.from({ length: channels }, () => bias))]
  return g.add('Conv', inputs, { kernel_shape: [1, 1] })
}

/** s^−β; for the usual β = 0.75 by two square roots. */
function negativePower(g: GraphBuilder, s: string, beta: number): string {
  if (Math.abs(beta - 0.75) > 1e-6) return g.add('Pow', [s, g.floats(-beta)])
  const root = g.add('Sqrt', [s])
  return g.add('Div', [g.floats(1), g.add('Mul', [root, g.add('Sqrt', [root])])])
}

/** y = x·s^−β, s = bias + α/n · Σ x²: dx = dy·s^−β − 2αβ/n · x · Σᵀ(dy·y/s). */
export const lrnRule: GradientRule = {
  op: 'LRN',
  forward(context) {
    const { g, node, attributes } = context
    const x = node.input[0]!
    const factor = attributes.float('alpha', 1e-4) / attributes.int('size', 5)
    const s = windowSum(context, g.add('Mul', [x, x]), { factor, bias: attributes.float('bias', 1) })
    const power = negativePower(g, s, attributes.float('beta', 0.75))
    context.saved.set('s', s)
    context.saved.set('power', power)
    g.add('Mul', [x, power], {}, { outputs: [node.output[0]!] })
  },
  backward(context) {
    const { g, node, dy, attributes, saved } = context
    const factor = (-2 * attributes.float('alpha', 1e-4) * attributes.float('beta', 0.75)) / attributes.int('size', 5)
    const ratio = g.add('Div', [g.add('Mul', [dy, node.output[0]!]), saved.get('s')!])
    const cross = g.add('Mul', [node.input[0]!, windowSum(context, ratio, { factor, transposed: true })])
    return [g.add('Add', [g.add('Mul', [dy, saved.get('power')!]), cross])]
  },
}
