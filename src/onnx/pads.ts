import { node, tensor } from './build.js'
import { withGraph, withNode } from './edit.js'
import type { GraphProto, NodeProto, TensorProto } from './generated/onnx_pb.js'
import { floatAttribute, floatsOf, intsAttribute, intsOf, textAttribute } from './values.js'
import { consumers, producers } from './walk.js'

const lowest = 'fc7/lowest'

/** Whether a node is the Max that {@link keepPads} puts between a Pad and a pool. */
export const isPadKeeper = ({ opType, input }: NodeProto): boolean => opType === 'Max' && input[1] === lowest

const isStandard = ({ domain }: NodeProto): boolean => domain === '' || domain === 'ai.onnx'

/** Whether every value that the node makes is 0 or more, as far as the node itself tells. */
function isNonNegative(maker: NodeProto | undefined, stored: ReadonlyMap<string, TensorProto>): boolean {
  if (!maker || !isStandard(maker)) return false
  if (['Relu', 'Sigmoid', 'HardSigmoid', 'Softmax'].includes(maker.opType)) return true
  if (maker.opType !== 'Clip') return false
  const bound = stored.get(maker.input[1] ?? '')
  return (bound ? (floatsOf(bound)[0] ?? -1) : floatAttribute(maker, 'min', -1)) >= 0
}

/** Whether onnxruntime would compute something else, or refuse, if it folded the Pad into the pool. */
function isUnsafe(pad: NodeProto, pool: NodeProto, graph: GraphProto): boolean {
  const stored = new Map(graph.initializer.map((entry) => [entry.name, entry]))
  const amounts = stored.get(pad.input[1] ?? '')
  const pads = intsAttribute(pad, 'pads') ?? (amounts ? intsOf(amounts) : undefined)
  const kernel = intsAttribute(pool, 'kernel_shape')
  if (!pads || !kernel) return true
  const rank = pads.length / 2
  const wide = kernel.some((size, i) => [pads[i + 2], pads[i + 2 + rank]].some((amount) => (amount ?? 0) >= size))
  if (wide) return true
  return pool.opType === 'MaxPool' && !isNonNegative(producers(graph).get(pad.input[0] ?? ''), stored)
}

/**
 * Keeps what a Pad writes apart from the pool that takes it. onnxruntime (1.30) folds the two into a pool with `pads`:
 * a max pool then pads with −∞ instead of the Pad's zeros, which shows where values are negative, and pads as wide as
 * the kernel are refused. A Max with −∞ between the two changes no value and stops the folding; it is put only where
 * the folding would do harm.
 *
 * @returns the graph itself where there is nothing to keep apart
 */
export function keepPads(graph: GraphProto): GraphProto {
  if (!graph.node.some(({ opType }) => opType === 'Pad')) return graph
  const readers = consumers(graph)
  const outputs = new Set(graph.output.map(({ name }) => name))
  const kept = new Map<string, string>()
  for (const pad of graph.node) {
    const name = pad.output[0] ?? ''
    const [next, ...others] = readers.get(name) ?? []
    const isConstant = textAttribute(pad, 'mode', 'constant') === 'constant'
    if (pad.opType !== 'Pad' || !isStandard(pad) || !isConstant || outputs.has(name)) continue
    const isPool = next && isStandard(next) && (next.opType === 'MaxPool' || next.opType === 'AveragePool')
    if (isPool && others.length === 0 && isUnsafe(pad, next, graph)) kept.set(name, `${name}/kept`)
  }
  if (kept.size === 0) return graph
  const nodes = graph.node.flatMap((old): NodeProto[] => {
    const name = old.output[0] ?? ''
    const keeper = kept.get(name)
    if (keeper !== undefined) return [old, node('Max', [name, lowest], [keeper])]
    const moved = kept.get(old.input[0] ?? '')
    return [moved === undefined ? old : withNode(old, { input: [moved, ...old.input.slice(1)] })]
  })
  const constant = tensor(lowest, 'float32', [], Float32Array.of(Number.NEGATIVE_INFINITY))
  return withGraph(graph, { node: nodes, initializer: [...graph.initializer, constant] })
}
