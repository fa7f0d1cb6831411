import { node, tensor } from '../build.js'
import { withGraph, withModel } from '../edit.js'
import type { NodeProto, TensorProto } from '../generated/onnx_pb.js'
import { TensorProto_DataType as DataType } from '../generated/onnx_pb.js'
import { inferShapes } from '../shapes/shapes.js'
import { floatAttribute, intAttribute } from '../values.js'
import { graphOf, opsetOf } from '../walk.js'
import type { Rewrite } from './rewrite.js'

/** `[C, C, 1, 1]`: row c holds alpha / size for the channels that LRN's window around c sums over. */
function bandedKernel(channels: number, size: number, alpha: number): Float32Array {
  const kernel = new Float32Array(channels * channels)
  const below = Math.floor((size - 1) / 2)
  const above = Math.ceil((size - 1) / 2)
  for (let c = 0; c < channels; c++) {
    const last = Math.min(channels - 1, c + above)
    for (let i = Math.max(0, c - below); i <= last; i++) kernel[c * channels + i] = alpha / size
  }
  return kernel
}

/**
 * LRN computed as x / (bias + conv(x²))^beta with a constant banded 1×1 kernel. onnxruntime's LRN is one slow loop on
 * the CPU; convolution is its fastest code. A power of 0.75 becomes two square roots. Needs the number of channels and
 * float32.
 */
export const lrnAsConv: Rewrite = {
  id: 'lrn-as-conv',
  description: 'LRN as a banded 1×1 convolution',
  apply(model) {
    const graph = graphOf(model)
    if (opsetOf(model) < 7 || !graph.node.some(({ opType }) => opType === 'LRN')) return { model, changed: 0 }
    const facts = inferShapes(model)
    const added: TensorProto[] = []
    let changed = 0
    const nodes = graph.node.flatMap((old): NodeProto[] => {
      const [x = '', y = ''] = [old.input[0], old.output[0]]
      const known = facts.get(x)
      const channels = known?.shape?.[1]
      const isFloat = known?.elemType === DataType.FLOAT || known?.elemType === 0
      if (old.opType !== 'LRN' || old.domain !== '' || known?.shape?.length !== 4) return [old]
      if (typeof channels !== 'number' || !isFloat) return [old]
      changed++
      const size = intAttribute(old, 'size', 1)
      const beta = floatAttribute(old, 'beta', 0.75)
      const name = (part: string): string => `${y}/lrn-as-conv/${part}`
      const kernel = bandedKernel(channels, size, floatAttribute(old, 'alpha', 1e-4))
      const bias = new Float32Array(channels).fill(floatAttribute(old, 'bias', 1))
      added.push(
        tensor(name('kernel'), 'float32', [channels, channels, 1, 1], kernel),
        tensor(name('bias'), 'float32', [channels], bias),
      )
      const sums = [
        node('Mul', [x, x], [name('square')]),
        node('Conv', [name('square'), name('kernel'), name('bias')], [name('sum')], { kernel_shape: [1, 1] }),
      ]
      if (beta === 0.75) {
        return [
          ...sums,
          node('Sqrt', [name('sum')], [name('root')]),
          node('Sqrt', [name('root')], [name('fourth')]),
          node('Mul', [name('root'), name('fourth')], [name('power')]),
          node('Div', [x, name('power')], [y]),
        ]
      }
      added.push(tensor(name('beta'), 'float32', [], Float32Array.of(beta)))
      return [...sums, node('Pow', [name('sum'), name('beta')], [name('power')]), node('Div', [x, name('power')], [y])]
    })
    if (changed === 0) return { model, changed }
    const next = withGraph(graph, { node: nodes, initializer: [...graph.initializer, ...added] })
    return { model: withModel(model, { graph: next }), changed }
  },
}
