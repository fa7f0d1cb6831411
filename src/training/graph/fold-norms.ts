import { node, tensor } from '../../onnx/build.js'
import type { NodeProto, TensorProto } from '../../onnx/generated/onnx_pb.js'
import { floatAttribute, floatsOf } from '../../onnx/values.js'
import { product } from '../gradients/arithmetic.js'
import type { Network } from '../network.js'

/** Constants of a network and shapes of its tensors, to add to. */
interface NetworkTensors {
  readonly initializers: Map<string, TensorProto>
  readonly shapes: Map<string, readonly number[]>
}

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
    replaced.set(norm, fold(conv, norm, { initializers, shapes }))
  }
  if (replaced.size === 0) return network
  return { ...network, nodes: network.nodes.flatMap((one) => replaced.get(one) ?? [one]), initializers, shapes }
}

/** Writes a fold: its nodes, and the constants and shapes that they add to the network's own. */
class FoldWriter {
  readonly nodes: NodeProto[] = []
  readonly #prefix: string
  readonly #to: NetworkTensors

  constructor(norm: NodeProto, to: NetworkTensors) {
    this.#prefix = `${norm.output[0]}/folded/`
    this.#to = to
  }

  add(op: string, inputs: readonly string[], part: string, shape: readonly number[]): string {
    const name = this.#prefix + part
    this.#to.shapes.set(name, shape)
    this.nodes.push(node(op, inputs, [name]))
    return name
  }

  constant(part: string, values: Float32Array | BigInt64Array): string {
    const name = this.#prefix + part
    const type = values instanceof Float32Array ? 'float32' : 'int64'
    this.#to.initializers.set(name, tensor(name, type, [values.length], values))
    this.#to.shapes.set(name, [values.length])
    return name
  }
}

/** The nodes that compute both a convolution and the norm after it. */
function fold(conv: NodeProto, norm: NodeProto, to: NetworkTensors): NodeProto[] {
  const [gain, shift, mean, variance] = norm.input.slice(1) as [string, string, string, string]
  const [x, weights, bias] = conv.input as [string, string, string | undefined]
  const channels = Number(to.initializers.get(mean)!.dims[0])
  const epsilon = floatAttribute(norm, 'epsilon', 1e-5)
  const writer = new FoldWriter(norm, to)
  const inverse = floatsOf(to.initializers.get(variance)!).map((v) => 1 / Math.sqrt(v + epsilon))
  const deviation = writer.constant('inverse', Float32Array.from(inverse))
  const factor = writer.add('Mul', [gain, deviation], 'factor', [channels])
  const dims = to.shapes.get(weights) ?? to.initializers.get(weights)!.dims.map(Number)
  const column = [channels, ...dims.slice(1).map(() => 1)]
  const wide = writer.add(
    'Reshape',
    [factor, writer.constant('column', BigInt64Array.from(column, BigInt))],
    'wide',
    column,
  )
  const scaled = writer.add('Mul', [weights, wide], 'weights', dims)
  // The running mean is a constant here: no gradient passes it.
  const centre = bias ? writer.add('Sub', [bias, mean], 'centred', [channels]) : mean
  const offset = writer.add('Mul', [centre, factor], 'offset', [channels])
  const newBias = writer.add(bias ? 'Add' : 'Sub', [shift, offset], 'bias', [channels])
  const folded = node('Conv', [x, scaled, newBias], [norm.output[0]!])
  folded.attribute = conv.attribute
  return [...writer.nodes, folded]
}
