import type { Card } from '../../backbones/card.js'
import { buildExtractionGraph, pixelsName } from '../../backbones/extraction.js'
import { type Layer, layerName, listLayers } from '../../backbones/layers.js'
import { prepareBackbone } from '../../backbones/prepare.js'
import { Fc7Error } from '../../base/errors.js'
import type { Random } from '../../base/random.js'
import type { Recipe } from '../../images/recipe/recipe.js'
import { node, tensor, valueInfo } from '../../onnx/build.js'
import { cutGraph, renameTensors, withGraph, withModel } from '../../onnx/edit.js'
import {
  TensorProto_DataType as DataType,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from '../../onnx/generated/onnx_pb.js'
import { applyRewrites } from '../../onnx/rewrites/index.js'
import { inferShapes } from '../../onnx/shapes/shapes.js'
import { elementCount } from '../../onnx/values.js'
import { constantNames, graphOf, producers } from '../../onnx/walk.js'
import { modernise } from '../../training/modernise.js'

/** Names of the new layer's weights and of the scores before softmax or sigmoid. */
export const headWeight = 'fc7/head/weight'
export const headBias = 'fc7/head/bias'
export const logitsName = 'logits'
/** The features after dropout, where there is any. */
export const droppedName = 'fc7/head/dropped'

/** A tensor through which everything flows: the network below it may be frozen. */
export interface Boundary {
  readonly tensor: string
  /** The card's name for it, or the tensor's. */
  readonly name: string
  /** Shape of one row. */
  readonly row: readonly number[]
  /** Place among the nodes, from the pixels on. */
  readonly place: number
}

export interface Parameter {
  readonly name: string
  readonly dims: readonly number[]
  readonly values: number
  /** Place of the first node that takes it, as {@link Boundary.place}. */
  readonly place: number
  readonly role: 'weight' | 'bias' | 'norm'
}

/** A backbone with its classifier replaced: pixels in, `logits` out, every batch size. */
export interface HeadedNetwork {
  readonly model: ModelProto
  /** What the new layer reads, `[N, dim]`. */
  readonly features: Boundary
  /** The layer that the features are read from, and its tensor in the backbone. */
  readonly layer: { readonly name: string; readonly tensor: string }
  readonly outputs: number
  readonly width: number
  readonly height: number
  /** From the pixels to the features. */
  readonly boundaries: readonly Boundary[]
  readonly parameters: readonly Parameter[]
  readonly norms: number
  readonly layers: readonly Layer[]
}

/** Names that the training graph and the extraction graph use for themselves. */
const taken = new Set(
  'data labels weights index lr step partner share loss correct norm norms logits pixels'.split(' '),
)

/** A backbone's tensor under the name it has in the headed network. */
export const innerName = (name: string): string => (taken.has(name) ? `net/${name}` : name)

const isFloat = (entry: TensorProto | undefined): entry is TensorProto => entry?.dataType === DataType.FLOAT

/** Which inputs of an op are weights, and what they are for. */
const weighted: Readonly<Record<string, readonly (readonly [number, Parameter['role']])[]>> = {
  Conv: [
    [1, 'weight'],
    [2, 'bias'],
  ],
  Gemm: [
    [1, 'weight'],
    [2, 'bias'],
  ],
  MatMul: [[1, 'weight']],
  BatchNormalization: [
    [1, 'norm'],
    [2, 'norm'],
  ],
  Add: [
    [0, 'bias'],
    [1, 'bias'],
  ],
  Mul: [
    [0, 'norm'],
    [1, 'norm'],
  ],
}

function findParameters(nodes: readonly NodeProto[], initializers: ReadonlyMap<string, TensorProto>): Parameter[] {
  const made = new Map(nodes.flatMap((entry) => entry.output.map((name) => [name, entry] as const)))
  const found = new Map<string, Parameter>()
  const stored = (name: string): TensorProto | undefined => {
    const entry = initializers.get(name)
    const maker = made.get(name)
    if (entry || !maker || !['Unsqueeze', 'Reshape', 'Identity'].includes(maker.opType)) return entry
    return stored(maker.input[0] ?? '')
  }
  nodes.forEach((entry, place) => {
    for (const [input, role] of weighted[entry.opType] ?? []) {
      const weights = stored(entry.input[input] ?? '')
      if (!isFloat(weights) || weights.name.startsWith('fc7/input/') || found.has(weights.name)) continue
      const values = elementCount(weights)
      if (values < 2 && role !== 'weight' && weights.name !== headBias) continue
      found.set(weights.name, { name: weights.name, dims: weights.dims.map(Number), values, place, role })
    }
  })
  return [...found.values()]
}

/** Tensors that nothing bypasses: those that are alone in being needed later, at the moment they are made. */
function findBoundaries(
  nodes: readonly NodeProto[],
  constants: ReadonlySet<string>,
  row: (name: string) => readonly number[] | undefined,
  nameOf: ReadonlyMap<string, string>,
): Boundary[] {
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

/** He et al. 2015: normal with variance 2 / fan-in; the head, which no ReLU follows, 1 / fan-in. */
export function heValues(dims: readonly number[], gain: number, random: Random): Float32Array {
  const count = dims.reduce((product, n) => product * n, 1)
  const spread = Math.sqrt(gain / dims.slice(1).reduce((product, n) => product * n, 1))
  return Float32Array.from({ length: count }, () => random.normal() * spread)
}

/**
 * Takes the classifier off a backbone and puts a new dense layer of `outputs` scores on its features, behind dropout if
 * asked for (which passes everything outside of training).
 *
 * @throws Fc7Error of the extraction graph; TRAIN_OPSET
 */
export function buildHeaded(
  given: ModelProto,
  options: {
    readonly recipe: Recipe
    readonly card?: Partial<Pick<Card, 'layers' | 'defaultLayer' | 'input'>> | undefined
    readonly outputs: number
    /**
     * Draws the new layer's weights; without it they are 0, so that what was pretrained does not move before the new
     * layer does.
     */
    readonly random?: Random | undefined
    /** Probability of 0 before the new layer. Default 0. */
    readonly dropout?: number | undefined
  },
): HeadedNetwork {
  const { recipe, outputs, random, dropout = 0 } = options
  const { input, ...rest } = options.card ?? {}
  const card = {
    ...rest,
    input: input && { ...input, name: input.name === undefined ? undefined : innerName(input.name) },
  }
  const backbone = withModel(given, { graph: renameTensors(graphOf(given), innerName) })
  const extraction = buildExtractionGraph(backbone, { recipe, card, rewrites: [] })
  const [layer] = extraction.layers
  const base = modernise(extraction.model)
  const graph = graphOf(base)
  const dims = [outputs, layer!.dim]
  const ratio = 'fc7/head/dropout'
  const head = [
    ...(dropout > 0 ? [node('Dropout', [layer!.output, ratio], [droppedName])] : []),
    node('Gemm', [dropout > 0 ? droppedName : layer!.output, headWeight, headBias], [logitsName], { transB: 1 }),
  ]
  const initializer = [
    ...graph.initializer,
    ...(dropout > 0 ? [tensor(ratio, 'float32', [], Float32Array.of(dropout))] : []),
    tensor(
      headWeight,
      'float32',
      dims,
      random ? heValues(dims, 1, random.fork('head')) : new Float32Array(outputs * layer!.dim),
    ),
    tensor(headBias, 'float32', [outputs], new Float32Array(outputs)),
  ]
  const model = withModel(base, {
    graph: withGraph(graph, {
      node: [...graph.node, ...head],
      initializer,
      output: [valueInfo(logitsName, 'float32', ['N', outputs])],
    }),
  })
  const { node: nodes } = graphOf(model)
  const constants = constantNames(graphOf(model))
  const shapes = inferShapes(model)
  const row = (name: string): readonly number[] | undefined => {
    const shape = shapes.get(name)?.shape
    const inner = shape?.slice(1)
    return shape?.[0] === 'N' && inner?.every((n) => typeof n === 'number') ? (inner as number[]) : undefined
  }
  const layers = listLayers(
    prepareBackbone(backbone, { ...card?.input, width: extraction.width, height: extraction.height }),
    {
      layers: card?.layers ?? [],
      defaultLayer: card?.defaultLayer,
    },
  )
  const names = new Map(layers.map((entry) => [entry.tensor, layerName(entry)]))
  names.set(layer!.output, layer!.layer)
  const boundaries = findBoundaries(nodes, constants, row, names).filter(
    ({ tensor: t }) => t !== logitsName && t !== droppedName,
  )
  const features = boundaries.at(-1)
  if (features?.tensor !== layer!.output) {
    throw new Fc7Error('FINETUNE_FEATURES', `The features ${layer!.layer} are not the only way to the new layer.`, {
      hint: 'This network cannot be fine-tuned by fc7.',
    })
  }
  const pixels: Boundary = {
    tensor: pixelsName,
    name: 'pixels',
    row: [extraction.height, extraction.width, 3],
    place: -1,
  }
  return {
    model,
    features,
    layer: { name: layer!.layer, tensor: layer!.tensor },
    outputs,
    width: extraction.width,
    height: extraction.height,
    boundaries: [pixels, ...boundaries],
    parameters: findParameters(nodes, new Map(initializer.map((entry) => [entry.name, entry]))),
    norms: nodes.filter(({ opType }) => opType === 'BatchNormalization').length,
    layers,
  }
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

/** The frozen part, pixels to the boundary, with exact rewrites for speed. */
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

/** The whole network, its frozen part rewritten for speed: what trains without a cache. */
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

/** Parameters above the boundary, which train. Weights that the frozen part shares stay frozen. */
export const trainedParameters = (network: HeadedNetwork, boundary: Boundary): Parameter[] =>
  network.parameters.filter(({ place }) => place > boundary.place)

/** The network with other weights. */
export function withWeights(model: ModelProto, values: ReadonlyMap<string, Float32Array>): ModelProto {
  const graph = graphOf(model)
  return withModel(model, {
    graph: withGraph(graph, {
      initializer: graph.initializer.map((entry) => {
        const found = values.get(entry.name)
        return found ? tensor(entry.name, 'float32', entry.dims.map(Number), found) : entry
      }),
    }),
  })
}
