import type { GraphBuilder } from '../../onnx/build.js'
import { withNode } from '../../onnx/edit.js'
import type { NodeProto } from '../../onnx/generated/onnx_pb.js'
import { dependencies, subgraphs } from '../../onnx/walk.js'
import type { Network } from '../network.js'

/** What was moved out of the loop. */
export interface Hoisted {
  readonly nodes: ReadonlySet<NodeProto>
  readonly initializers: ReadonlySet<string>
  /**
   * Tensors that the loop still reads, one row an image, with their names outside; the network's input is among them if
   * read.
   */
  readonly crossing: ReadonlyMap<string, string>
}

/** Nothing moved: the loop reads the network's input. */
export const nothingHoisted = (network: Network): Hoisted => ({
  nodes: new Set(),
  initializers: new Set(),
  crossing: new Map([[network.input, 'data']]),
})

/**
 * Writes the part of a network that stays as it is (no gradient passes it, no statistics are updated in it) into the
 * graph around the loop, over the graph's `data` of any number of rows. Its weights are constants there.
 *
 * @param stays whether a node must be computed in the loop
 */
export function hoistFrozen(outer: GraphBuilder, network: Network, stays: (node: NodeProto) => boolean): Hoisted {
  const inside = new Set<string>()
  const nodes = new Set<NodeProto>()
  for (const node of network.nodes) {
    // Names are not changed within subgraphs: what has one stays.
    if (stays(node) || subgraphs(node).length > 0 || dependencies(node).some((name) => inside.has(name)))
      for (const name of node.output) inside.add(name)
    else nodes.add(node)
  }
  // From here on only what depends on the images: constants that are computed may be read from inside as they are.
  const made = new Set([...nodes].flatMap(({ output }) => output))
  const perImage = new Set([network.input])
  for (const { input, output } of nodes)
    if (input.some((name) => perImage.has(name))) for (const name of output) perImage.add(name)
  const crossing = new Map<string, string>()
  for (const node of network.nodes) {
    if (nodes.has(node)) continue
    for (const name of dependencies(node))
      if (perImage.has(name)) crossing.set(name, made.has(name) ? `frozen:${name}` : 'data')
  }
  const outside = (name: string): string => (name === network.input ? 'data' : (crossing.get(name) ?? name))
  const initializers = new Set<string>()
  for (const node of nodes) {
    for (const name of dependencies(node)) if (network.initializers.has(name)) initializers.add(name)
    outer.nodes.push(withNode(node, { input: node.input.map(outside), output: node.output.map(outside) }))
  }
  for (const name of initializers) outer.initializers.push(network.initializers.get(name)!)
  return { nodes, initializers, crossing }
}
