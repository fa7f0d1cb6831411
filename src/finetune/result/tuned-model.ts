import type { Card } from '../../backbones/card.js'
import { prepareBackbone } from '../../backbones/prepare.js'
import { node, tensor, valueInfo } from '../../onnx/build.js'
import { cutGraph, withGraph, withModel } from '../../onnx/edit.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { type HeadedNetwork, headBias, headWeight, innerName } from '../plan/network.js'
import type { Weights } from '../train/checkpoint.js'

/**
 * The head's weights with one row a class: one output with a sigmoid equals two with a softmax, the first of them
 * always 0.
 */
export function headOf(network: HeadedNetwork, weights: Weights): { weights: Float32Array; bias: Float32Array } {
  const w = weights.get(headWeight)!
  const b = weights.get(headBias)!
  if (network.outputs > 1) return { weights: w, bias: b }
  const wide = new Float32Array(2 * w.length)
  wide.set(w, w.length)
  return { weights: wide, bias: Float32Array.of(0, b[0]!) }
}

/** The tuned network in the backbone's own form: its image input, the new weights, probabilities out. */
export function tunedModel(
  backbone: ModelProto,
  network: HeadedNetwork,
  weights: Weights,
  hint: Card['input'],
): ModelProto {
  const prepared = prepareBackbone(backbone, { ...hint, width: network.width, height: network.height })
  const { graph } = prepared
  const feature = network.layers.find(({ tensor: t }) => t === network.layer.tensor)!
  const original = new Map(graph.initializer.map(({ name }) => [innerName(name), name]))
  const source = [...graph.node.flatMap(({ output }) => output)].find((name) => innerName(name) === feature.tensor)!
  const flat = feature.shape.length > 2
  const pooled = flat && feature.shape.slice(2).some((n) => n !== 1)
  const head = headOf(network, weights)
  const classes = head.bias.length
  let current = source
  const nodes = []
  if (pooled) {
    nodes.push(node('GlobalAveragePool', [current], ['fc7/pooled']))
    current = 'fc7/pooled'
  }
  if (flat) {
    nodes.push(node('Flatten', [current], ['fc7/features'], { axis: 1 }))
    current = 'fc7/features'
  }
  nodes.push(
    node('Gemm', [current, headWeight, headBias], ['fc7/scores'], { transB: 1 }),
    node('Softmax', ['fc7/scores'], ['probabilities'], { axis: 1 }),
  )
  const replaced = graph.initializer.map((entry) => {
    const value = weights.get(innerName(entry.name))
    return value && original.has(innerName(entry.name))
      ? tensor(entry.name, 'float32', entry.dims.map(Number), value)
      : entry
  })
  const whole = withGraph(graph, {
    node: [...graph.node, ...nodes],
    initializer: [
      ...replaced,
      tensor(headWeight, 'float32', [classes, head.weights.length / classes], head.weights),
      tensor(headBias, 'float32', [classes], head.bias),
    ],
  })
  const output = valueInfo('probabilities', 'float32', ['N', classes])
  return withModel(prepared.model, { graph: cutGraph(whole, [output]), metadataProps: [], trainingInfo: [] })
}
