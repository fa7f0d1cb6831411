import { Fc7Error } from '../base/errors.js'
import type { Recipe } from '../images/recipe/recipe.js'
import { recipeSize } from '../images/recipe/recipe-size.js'
import { node, tensor, valueInfo } from '../onnx/build.js'
import { checkModel } from '../onnx/check.js'
import { cutGraph, withGraph, withModel } from '../onnx/edit.js'
import type { ModelProto, NodeProto, TensorProto } from '../onnx/generated/onnx_pb.js'
import { applyRewrites, type Rewrite } from '../onnx/rewrites/index.js'
import { formatShape } from '../onnx/shapes/shapes.js'
import { graphOf } from '../onnx/walk.js'
import type { Card } from './card.js'
import { chooseLayers, type Layer, listLayers } from './layers.js'
import { type ImageInput, type InputHint, prepareBackbone } from './prepare.js'

/** What a layer of height and width above one becomes: its mean or maximum over the image, or all of its values. */
export type Pooling = 'avg' | 'max' | 'none'

export interface ExtractionOptions {
  readonly recipe: Recipe
  /** Aliases or tensor names; none means the default layer. */
  readonly layers?: readonly string[] | undefined
  /** Default `avg`. */
  readonly pool?: Pooling | undefined
  /** What is known about input and layers. */
  readonly card?: Partial<Pick<Card, 'layers' | 'defaultLayer' | 'input'>> | undefined
  /** Exact rewrites to run over the graph; default all, `[]` for none. */
  readonly rewrites?: readonly Rewrite[] | undefined
}

export interface ExtractedLayer {
  /** The name that was asked for, or the default layer's. */
  readonly layer: string
  /** The network's own tensor. */
  readonly tensor: string
  /** That tensor's shape, for people and plans: `[N, 2048, 7, 7]`. */
  readonly shape: string
  /** Values of one embedding. */
  readonly dim: number
  /** The extraction graph's output, `layer:<name>`. */
  readonly output: string
}

export interface Extraction {
  /** Input `pixels` uint8 [N, height, width, 3]; one float32 output [N, dim] a layer. */
  readonly model: ModelProto
  readonly layers: readonly ExtractedLayer[]
  /** The backbone's own weights, of which the graph uses some: they are the same whatever layers are read. */
  readonly stored: readonly TensorProto[]
  /** Ids of the rewrites that changed something. */
  readonly rewrites: readonly string[]
  readonly width: number
  readonly height: number
}

/** Name of the extraction graph's input. */
export const pixelsName = 'pixels'

/** uint8 pixels to what the network's first layer takes: channel order, layout and the recipe's numbers. */
function front(recipe: Recipe, input: ImageInput): { nodes: NodeProto[]; initializers: TensorProto[] } {
  const nodes: NodeProto[] = []
  const initializers: TensorProto[] = []
  let current = pixelsName
  const step = (op: string, extra: readonly string[] = [], attributes: Parameters<typeof node>[3] = {}): void => {
    const output = `fc7/input/${op.toLowerCase()}`
    nodes.push(node(op, [current, ...extra], [output], attributes))
    current = output
  }
  const channels = input.layout === 'NCHW' ? [1, 3, 1, 1] : [3]
  const numbers = (name: string, values: readonly number[]): string[] => {
    const all = values.every((value) => value === values[0])
    const [dims, data] = all ? [[], [values[0] ?? 0]] : [channels, values]
    initializers.push(tensor(`fc7/input/${name}`, 'float32', dims, Float32Array.from(data)))
    return [`fc7/input/${name}`]
  }
  if (input.layout === 'NCHW') step('Transpose', [], { perm: [0, 3, 1, 2] })
  if (recipe.channelOrder === 'BGR') {
    initializers.push(tensor('fc7/input/order', 'int64', [3], BigInt64Array.of(2n, 1n, 0n)))
    step('Gather', ['fc7/input/order'], { axis: input.layout === 'NCHW' ? 1 : 3 })
  }
  step('Cast', [], { to: 1 })
  // Steps that would change nothing are left out; the others keep the recipe's order, so that rounding does too.
  if (recipe.scale !== 1) step('Mul', numbers('scale', [recipe.scale]))
  if (recipe.mean.some((value) => value !== 0)) step('Sub', numbers('mean', recipe.mean))
  if (recipe.std.some((value) => value !== 1)) step('Div', numbers('std', recipe.std))
  const last = nodes.at(-1)
  if (last) last.output = [input.name]
  return { nodes, initializers }
}

/** One layer's tensor to `layer:<name>`, float32 [N, dim]. */
function read(name: string, layer: Layer, pool: Pooling): { nodes: NodeProto[]; extracted: ExtractedLayer } {
  const output = `layer:${name}`
  const sizes = layer.shape.slice(1)
  if (!sizes.every((n) => typeof n === 'number')) {
    throw new Fc7Error('LAYER_SHAPE', `The layer ${name} has the open shape ${formatShape(layer.shape)}.`, {
      hint: 'Choose another layer; `fc7 models layers` shows every shape.',
    })
  }
  const [channels = 0, height = 1, width = 1] = sizes as readonly number[]
  const pooled = height * width > 1 && pool !== 'none'
  const dim = pooled ? channels : channels * height * width
  const extracted = { layer: name, tensor: layer.tensor, shape: formatShape(layer.shape), dim, output }
  if (layer.shape.length === 2) return { nodes: [node('Identity', [layer.tensor], [output])], extracted }
  const poolOp = pool === 'max' ? 'GlobalMaxPool' : 'GlobalAveragePool'
  const nodes = pooled
    ? [node(poolOp, [layer.tensor], [`${output}/pooled`]), node('Flatten', [`${output}/pooled`], [output], { axis: 1 })]
    : [node('Flatten', [layer.tensor], [output], { axis: 1 })]
  return { nodes, extracted }
}

/**
 * Builds the graph that extraction runs: uint8 pixels in, the recipe's numbers inside, the network up to the wanted
 * layers, each pooled and flattened. The batch is symbolic, Dropout and everything above the layers are gone. Weights
 * are shared with the given model.
 *
 * @throws Fc7Error MODEL_INPUT, MODEL_OPSET, RECIPE_SIZE (recipe and graph disagree), LAYER_UNKNOWN, LAYER_SHAPE
 * @example
 * const { model, layers } = buildExtractionGraph(await readModel(path), { recipe: namedRecipe('torchvision', size) })
 */
export function buildExtractionGraph(model: ModelProto, options: ExtractionOptions): Extraction {
  const { recipe, pool = 'avg', card } = options
  const size = recipeSize(recipe)
  const hint: InputHint = { ...card?.input, ...size }
  const backbone = prepareBackbone(model, hint)
  const { input } = backbone
  if (input.width !== size.width || input.height !== size.height) {
    throw new Fc7Error(
      'RECIPE_SIZE',
      `The recipe gives images of ${size.width}×${size.height} pixels, the network takes ` +
        `${input.width}×${input.height}.`,
      { hint: 'Choose a recipe of that size; named recipes take it from the graph.' },
    )
  }
  const known = listLayers(backbone, { layers: card?.layers ?? [], defaultLayer: card?.defaultLayer })
  const chosen = chooseLayers(known, options.layers)
  const start = front(recipe, input)
  const ends = chosen.map(({ name, layer }) => read(name, layer, pool))
  const whole = withGraph(backbone.graph, {
    node: [...start.nodes, ...backbone.graph.node, ...ends.flatMap(({ nodes }) => nodes)],
    initializer: [...backbone.graph.initializer, ...start.initializers],
  })
  const outputs = ends.map(({ extracted }) => valueInfo(extracted.output, 'float32', ['N', extracted.dim]))
  const pixels = valueInfo(pixelsName, 'uint8', ['N', size.height, size.width, 3])
  const cut = withModel(backbone.model, {
    graph: cutGraph(whole, outputs, [pixels]),
    trainingInfo: [],
    metadataProps: [],
  })
  const rewritten = applyRewrites(cut, options.rewrites)
  checkModel(rewritten.model, 'The extraction graph')
  return {
    model: rewritten.model,
    layers: ends.map(({ extracted }) => extracted),
    stored: graphOf(model).initializer,
    rewrites: rewritten.applied,
    ...size,
  }
}
