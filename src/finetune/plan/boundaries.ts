import { pixelsName } from '../../backbones/extraction.js'
import { Fc7Error } from '../../base/errors.js'
import { valueInfo } from '../../onnx/build.js'
import { cutGraph, withGraph, withModel } from '../../onnx/edit.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { applyRewrites } from '../../onnx/rewrites/index.js'
import { inferShapes } from '../../onnx/shapes/shapes.js'
import { constantNames, graphOf, producers } from '../../onnx/walk.js'
import { type Boundary, type HeadedNetwork, headWeight, logitsName } from './network.js'

/** Shape of one row of a tensor of the model; undefined for one without an open batch or of unknown size. */
function rowShapes(model: ModelProto): (name: string) => readonly number[] | undefined {
  const shapes = inferShapes(model)
  return (name) => {
    const shape = shapes.get(name)?.shape
    const inner = shape?.slice(1)
    return shape?.[0] === 'N' && inner?.every((n) => typeof n === 'number') ? (inner as number[]) : undefined
  }
}

/**
 * Tensors that nothing bypasses: those that are alone in being needed later, at the moment they are made.
 *
 * @param nameOf names of layers by tensor; the others are called by their tensor
 */
export function findBoundaries(model: ModelProto, nameOf: ReadonlyMap<string, string>): Boundary[] {
  const { node: nodes } = graphOf(model)
  const constants = constantNames(graphOf(model))
  const row = rowShapes(model)
  const last = new Map<string, number>()
  nodes.forEach(({ input }, i) => {
    for (const name of input) last.set(name, i)
  })
  const live = new Set<string>([pixelsName])
  const found: Boundary[] = []
  nodes.forEach(({ output }, i) => {
    for (const name of live) if ((last.get(name) ?? -1) <= i) live.delete(name)
    for (const name of output) if (!constants.has(name) && (last.get(name) ?? -1) > i) live.add(name)
    const [only] = live
    const shape = only === undefined ? undefined : row(only)
    if (live.size === 1 && output[0] === only && shape)
      found.push({ tensor: only!, name: nameOf.get(only!) ?? only!, row: shape, place: i })
  })
  return found
}

/** @throws Fc7Error FINETUNE_LAYER for a layer that does not exist, or that something bypasses */
export function chooseBoundary(network: HeadedNetwork, wanted: string): Boundary {
  const layer = network.layers.find(({ aliases, tensor: t }) => aliases.includes(wanted) || t === wanted)
  if (!layer) {
    const named = network.layers.flatMap(({ aliases }) => aliases)
    const known = named.length > 0 ? named : [...new Set(network.boundaries.slice(-8).map(({ name }) => name))]
    throw new Fc7Error('FINETUNE_LAYER', `The model has no layer "${wanted}" to freeze until.`, {
      hint: `Among its layers are ${known.join(', ')}; \`fc7 models layers\` lists all.`,
    })
  }
  const boundary = network.boundaries.find(({ tensor: t }) => t === layer.tensor)
  if (boundary) return boundary
  if (layer.tensor === network.layer.tensor) return network.features
  const order = graphOf(network.model).node.findIndex(({ output }) => output.includes(layer.tensor))
  const before = network.boundaries.filter(({ place }) => place < order).at(-1)
  const after = network.boundaries.find(({ place }) => place > order)
  throw new Fc7Error('FINETUNE_LAYER', `The layer ${wanted} lies in a branch: other branches bypass it.`, {
    hint:
      'The nearest layers that everything passes through are ' +
      `${[before, after].flatMap((b) => (b ? [b.name] : [])).join(' and ')}.`,
  })
}

/**
 * Where `last` freezes unless asked: as high as possible with every weighted layer of the last resolution still trained
 * (the last stage of a ResNet, the dense layers of AlexNet and VGG).
 */
export function defaultBoundary(network: HeadedNetwork): Boundary {
  const nodes = graphOf(network.model).node
  const shapes = inferShapes(network.model)
  const spatial = (place: number): string => (shapes.get(nodes[place]!.output[0]!)?.shape ?? []).slice(2).join('×')
  const weights = network.parameters.filter(({ role, name }) => role === 'weight' && name !== headWeight)
  const top = weights.at(-1)
  if (!top) return network.features
  const wanted = spatial(top.place)
  let first = top.place
  for (const { place } of [...weights].reverse()) {
    if (spatial(place) !== wanted) break
    first = place
  }
  return network.boundaries.filter(({ place }) => place < first).at(-1)!
}

/** The frozen layers, pixels to the boundary, with exact rewrites for speed. */
export function lowerModel(network: HeadedNetwork, boundary: Boundary): ModelProto {
  const graph = graphOf(network.model)
  const output = valueInfo(boundary.tensor, 'float32', ['N', ...boundary.row])
  return applyRewrites(withModel(network.model, { graph: cutGraph(graph, [output]) })).model
}

/** The part that trains: from the boundary's values to the logits. */
export function upperModel(network: HeadedNetwork, boundary: Boundary): ModelProto {
  if (boundary.tensor === pixelsName) return network.model
  const graph = graphOf(network.model)
  const input = valueInfo(boundary.tensor, 'float32', ['N', ...boundary.row])
  return withModel(network.model, {
    graph: cutGraph(graph, [valueInfo(logitsName, 'float32', ['N', network.outputs])], [input]),
  })
}

/** The whole network, its frozen layers rewritten for speed: what trains without a cache. */
export function wholeModel(network: HeadedNetwork, boundary: Boundary): ModelProto {
  if (boundary.tensor === pixelsName) return network.model
  const lower = graphOf(lowerModel(network, boundary))
  const upper = graphOf(upperModel(network, boundary))
  const known = new Set(lower.initializer.map(({ name }) => name))
  const made = producers(lower)
  return withModel(network.model, {
    graph: withGraph(graphOf(network.model), {
      node: [...lower.node, ...upper.node.filter(({ output }) => !made.has(output[0] ?? ''))],
      initializer: [...lower.initializer, ...upper.initializer.filter(({ name }) => !known.has(name))],
      valueInfo: [],
    }),
  })
}
