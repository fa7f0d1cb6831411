import type { Card } from '../../backbones/card.js'
import { buildExtractionGraph, type ExtractedLayer, pixelsName } from '../../backbones/extraction.js'
import { type Layer, layerName, listLayers } from '../../backbones/layers.js'
import { prepareBackbone } from '../../backbones/prepare.js'
import { Fc7Error } from '../../base/errors.js'
import type { Random } from '../../base/random.js'
import type { Recipe } from '../../images/recipe/recipe.js'
import { node, tensor, valueInfo } from '../../onnx/build.js'
import { renameTensors, withGraph, withModel } from '../../onnx/edit.js'
import { TensorProto_DataType as DataType, type ModelProto, type TensorProto } from '../../onnx/generated/onnx_pb.js'
import { elementCount } from '../../onnx/values.js'
import { graphOf } from '../../onnx/walk.js'
import { modernise } from '../../training/modernise.js'
import { findBoundaries } from './boundaries.js'
import {
  type Boundary,
  droppedName,
  type HeadedNetwork,
  headBias,
  headWeight,
  innerName,
  logitsName,
  type Parameter,
} from './network.js'

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

function findParameters(model: ModelProto): Parameter[] {
  const { node: nodes, initializer } = graphOf(model)
  const initializers = new Map(initializer.map((entry) => [entry.name, entry]))
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

/** He et al. 2015: normal with variance 2 / fan-in; the head, which no ReLU follows, 1 / fan-in. */
export function heValues(dims: readonly number[], gain: number, random: Random): Float32Array {
  const count = dims.reduce((product, n) => product * n, 1)
  const spread = Math.sqrt(gain / dims.slice(1).reduce((product, n) => product * n, 1))
  return Float32Array.from({ length: count }, () => random.normal() * spread)
}

interface HeadOptions {
  readonly outputs: number
  /**
   * Draws the new layer's weights; without it they are 0, so that what was pretrained does not move before the new
   * layer does.
   */
  readonly random?: Random | undefined
  /** Probability of 0 before the new layer. Default 0. */
  readonly dropout?: number | undefined
}

/** Puts dropout, where asked for, and a dense layer of `outputs` scores on the features. */
function withHead(
  base: ModelProto,
  features: ExtractedLayer,
  { outputs, random, dropout = 0 }: HeadOptions,
): ModelProto {
  const graph = graphOf(base)
  const dims = [outputs, features.dim]
  const weights = random ? heValues(dims, 1, random.fork('head')) : new Float32Array(outputs * features.dim)
  const ratio = 'fc7/head/dropout'
  const drops = dropout > 0
  const input = drops ? droppedName : features.output
  return withModel(base, {
    graph: withGraph(graph, {
      node: [
        ...graph.node,
        ...(drops ? [node('Dropout', [features.output, ratio], [droppedName])] : []),
        node('Gemm', [input, headWeight, headBias], [logitsName], { transB: 1 }),
      ],
      initializer: [
        ...graph.initializer,
        ...(drops ? [tensor(ratio, 'float32', [], Float32Array.of(dropout))] : []),
        tensor(headWeight, 'float32', dims, weights),
        tensor(headBias, 'float32', [outputs], new Float32Array(outputs)),
      ],
      output: [valueInfo(logitsName, 'float32', ['N', outputs])],
    }),
  })
}

/** Boundaries from the first layer to the features. @throws Fc7Error FINETUNE_FEATURES */
function boundariesTo(features: ExtractedLayer, model: ModelProto, layers: readonly Layer[]): Boundary[] {
  const names = new Map(layers.map((entry) => [entry.tensor, layerName(entry)]))
  names.set(features.output, features.layer)
  const boundaries = findBoundaries(model, names).filter(
    ({ tensor: name }) => name !== logitsName && name !== droppedName,
  )
  if (boundaries.at(-1)?.tensor === features.output) return boundaries
  throw new Fc7Error('FINETUNE_FEATURES', `The features ${features.layer} are not the only way to the new layer.`, {
    hint: 'This network cannot be fine-tuned by fc7.',
  })
}

/**
 * Takes the classifier off a backbone and puts a new dense layer of `outputs` scores on its features, behind dropout if
 * asked for (which passes everything outside of training).
 *
 * @throws Fc7Error of the extraction graph; TRAIN_OPSET
 */
export function buildHeaded(
  given: ModelProto,
  options: HeadOptions & {
    readonly recipe: Recipe
    readonly card?: Partial<Pick<Card, 'layers' | 'defaultLayer' | 'input'>> | undefined
  },
): HeadedNetwork {
  const { recipe, outputs } = options
  const { input, ...rest } = options.card ?? {}
  const card = {
    ...rest,
    input: input && { ...input, name: input.name === undefined ? undefined : innerName(input.name) },
  }
  const backbone = withModel(given, { graph: renameTensors(graphOf(given), innerName) })
  const extraction = buildExtractionGraph(backbone, { recipe, card, rewrites: [] })
  const { width, height } = extraction
  const features = extraction.layers[0]!
  const model = withHead(modernise(extraction.model), features, options)
  const layers = listLayers(prepareBackbone(backbone, { ...card.input, width, height }), {
    layers: card.layers ?? [],
    defaultLayer: card.defaultLayer,
  })
  const boundaries = boundariesTo(features, model, layers)
  const pixels: Boundary = { tensor: pixelsName, name: 'pixels', row: [height, width, 3], place: -1 }
  return {
    model,
    features: boundaries.at(-1)!,
    layer: { name: features.layer, tensor: features.tensor },
    outputs,
    width,
    height,
    boundaries: [pixels, ...boundaries],
    parameters: findParameters(model),
    norms: graphOf(model).node.filter(({ opType }) => opType === 'BatchNormalization').length,
    layers,
  }
}
