import type { OnnxWriter } from '../../onnx/classifier-writer.js'

/** Adds `x · weightsᵀ + bias`, weights `[outputs, cols]`. */
export function linearOnnx(g: OnnxWriter, x: string, weights: Float32Array, bias: Float32Array): string {
  const outputs = bias.length
  const w = g.weights('weights', [outputs, weights.length / outputs], weights)
  return g.add('Gemm', [x, w, g.weights('bias', [outputs], bias)], { transB: 1 })
}

export const softmaxOnnx = (g: OnnxWriter, x: string): string => g.add('Softmax', [x], { axis: 1 })

/** Adds a perceptron: layer i is `[sizes[i], sizes[i + 1]]`, ReLU between layers, softmax at the end. */
export function perceptronOnnx(
  g: OnnxWriter,
  x: string,
  net: {
    readonly sizes: readonly number[]
    readonly weights: readonly Float32Array[]
    readonly biases: readonly Float32Array[]
  },
): string {
  let now = x
  for (const [i, values] of net.weights.entries()) {
    const w = g.weights('weights', [net.sizes[i]!, net.sizes[i + 1]!], values)
    now = g.add('Gemm', [now, w, g.weights('bias', [net.sizes[i + 1]!], net.biases[i]!)])
    if (i < net.weights.length - 1) now = g.add('Relu', [now])
  }
  return softmaxOnnx(g, now)
}
