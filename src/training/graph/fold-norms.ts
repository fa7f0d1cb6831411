import { node, tensor } from '../../onnx/build.js'
import type { NodeProto, TensorProto } from '../../onnx/generated/onnx_pb.js'
import { floatAttribute, floatsOf } from '../../onnx/values.js'
import { product } from '../gradients/arithmetic.js'
import type { Network } from '../network.js'

/**
 * Multiplies batch norms with frozen statistics into the convolutions before them, in the graph itself: y = conv(x,
 * W·f) + β − μ·f with f = γ / √(σ² + ε). Gain, shift and weights stay parameters with gradients of their own, all of
 * them found in the weights, which are often far fewer than the values that pass a norm: four passes over those less in
 * a step.
 *
 * Norms that use their batch's statistics stay, and so do those that no gradient passes: what is constant the runtime
 * folds itself.
 */
export function foldNorms(
  network: Network,
  wanted: ReadonlySet<string>,
  batchStatistics: (node: NodeProto) => boolean,
): Network {
  const reached = new Set(wanted)
  const readers = new Map<string, number>()
  const makers = new Map<string, NodeProto>()
  for (const one of network.nodes) {
    for (const name of one.input) readers.set(name, (readers.get(name) ?? 0) + 1)
    const passes = one.input.some((name) => reached.has(name))
    for (const name of one.output) {
      makers.set(name, one)
      if (passes) reached.add(name)
    }
  }
  for (const name of network.outputs) readers.set(name, (readers.get(name) ?? 0) + 1)
  const initializers = new Map(network.initializers)
  const shapes = new Map(network.shapes)
  const replaced = new Map<NodeProto, readonly NodeProto[]>()
  for (const norm of network.nodes) {
    if (norm.opType !== 'BatchNormalization' || batchStatistics(norm) || !reached.has(norm.output[0]!)) continue
    const conv = makers.get(norm.input[0]!)
    const fits = conv?.opType === 'Conv' && conv.domain === norm.domain && readers.get(norm.input[0]!) === 1
    const [gain, shift, mean, variance] = norm.input.slice(1).map((name) => network.initializers.get(name))
    if (!fits || !gain || !shift || !mean || !variance) continue
    // Above the last stages of a network the weights are more than what they make.
    const values = product(network.shapes.get(norm.output[0]!) ?? [])
    if (product(network.initializers.get(conv.input[1]!)?.dims.map(Number) ?? [Infinity]) > values) continue
    replaced.set(conv, [])
    replaced.set(norm, folded(conv, norm, mean, variance, network, initializers, shapes))
  }
  if (replaced.size === 0) return network
  return { ...network, nodes: network.nodes.flatMap((one) => replaced.get(one) ?? [one]), initializers, shapes }
}

function folded(
  conv: NodeProto,
  norm: NodeProto,
  mean: TensorProto,
  variance: TensorProto,
  network: Network,
  initializers: Map<string, TensorProto>,
  shapes: Map<string, readonly number[]>,
): NodeProto[] {
  const [gain, shift] = [norm.input[1]!, norm.input[2]!]
  const [x, weights, bias] = conv.input
  const channels = Number(mean.dims[0])
  const epsilon = floatAttribute(norm, 'epsilon', 1e-5)
  const name = (part: string): string => `${norm.output[0]}/folded/${part}`
  const nodes: NodeProto[] = []
  const add = (op: string, inputs: readonly string[], part: string, shape: readonly number[]): string => {
    shapes.set(name(part), shape)
    nodes.push(node(op, inputs, [name(part)]))
    return name(part)
  }
  const constant = (part: string, entry: TensorProto): string => {
    initializers.set(name(part), entry)
    shapes.set(name(part), entry.dims.map(Number))
    return name(part)
  }
  const inverse = floatsOf(variance).map((v) => 1 / Math.sqrt(v + epsilon))
  const deviation = constant('inverse', tensor(name('inverse'), 'float32', [channels], Float32Array.from(inverse)))
  const factor = add('Mul', [gain, deviation], 'factor', [channels])
  const dims = shapes.get(weights!) ?? network.initializers.get(weights!)!.dims.map(Number)
  const column = [channels, ...dims.slice(1).map(() => 1)]
  const wide = constant('column', tensor(name('column'), 'int64', [column.length], BigInt64Array.from(column, BigInt)))
  const scaled = add('Mul', [weights!, add('Reshape', [factor, wide], 'wide', column)], 'weights', dims)
  // The running mean is in the way of nothing: it is a constant here.
  const centre = bias
    ? add('Mul', [add('Sub', [bias, norm.input[3]!], 'centred', [channels]), factor], 'offset', [channels])
    : add('Mul', [norm.input[3]!, factor], 'offset', [channels])
  const offset = add(bias ? 'Add' : 'Sub', [shift, centre], 'bias', [channels])
  nodes.push(node('Conv', [x!, scaled, offset], [norm.output[0]!]))
  nodes.at(-1)!.attribute = conv.attribute
  return nodes
}
