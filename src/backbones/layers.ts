import { Fc7Error } from '../base/errors.js'
import type { NodeProto } from '../onnx/generated/onnx_pb.js'
import { isPadKeeper } from '../onnx/pads.js'
import type { Dim } from '../onnx/shapes/shapes.js'
import { consumers, producers } from '../onnx/walk.js'
import type { Card, LayerKind } from './card.js'
import type { Backbone } from './prepare.js'

/** A tensor that embeddings can be read from. */
export interface Layer {
  readonly tensor: string
  /** `[N, C, H, W]` or `[N, D]`. */
  readonly shape: readonly Dim[]
  readonly kind: LayerKind
  /** The conventional names that the card gives it. */
  readonly aliases: readonly string[]
  readonly isDefault: boolean
}

const kinds: Readonly<Record<string, LayerKind>> = {
  Conv: 'conv',
  Gemm: 'dense',
  MatMul: 'dense',
  MaxPool: 'pool',
  AveragePool: 'pool',
  LpPool: 'pool',
  GlobalAveragePool: 'pool',
  GlobalMaxPool: 'pool',
  ReduceMean: 'pool',
  Relu: 'relu',
  Clip: 'relu',
  LeakyRelu: 'relu',
  PRelu: 'relu',
  Sigmoid: 'activation',
  HardSigmoid: 'activation',
  HardSwish: 'activation',
  Tanh: 'activation',
  Elu: 'activation',
  Selu: 'activation',
  Softplus: 'activation',
  BatchNormalization: 'norm',
  LRN: 'norm',
  Add: 'add',
  Sum: 'add',
  Concat: 'concat',
  Softmax: 'softmax',
  LogSoftmax: 'softmax',
}

/** Operators that only hand on or reorder values: nobody asks for their outputs by name, but they are allowed. */
const moving = new Set(['Identity', 'Dropout', 'Flatten', 'Reshape', 'Squeeze', 'Unsqueeze', 'Cast'])

const isReadable = (shape: readonly Dim[] | undefined): shape is readonly Dim[] =>
  shape !== undefined && shape[0] === 'N' && (shape.length === 2 || shape.length === 4)

/** The one input of a node that depends on the image, if it is only one. */
function dataInput(node: NodeProto, backbone: Backbone): string | undefined {
  // What a Reshape's shape is computed from may be the image's own shape: PyTorch writes `x.flatten(1)` so.
  if (moving.has(node.opType)) return backbone.constants.has(node.input[0] ?? '') ? undefined : node.input[0]
  const data = node.input.filter((name) => name !== '' && !backbone.constants.has(name))
  return data.length === 1 ? data[0] : undefined
}

function isWeighted(node: NodeProto, backbone: Backbone): boolean {
  if (node.domain !== '' || dataInput(node, backbone) === undefined) return false
  if (node.opType === 'Gemm' || node.opType === 'MatMul') return true
  const weights = backbone.facts.get(node.input[1] ?? '')?.shape
  return node.opType === 'Conv' && weights?.length === 4 && weights[2] === 1 && weights[3] === 1
}

/** Operators that may stand between a network's classifier and its output. */
const afterClassifier = new Set([
  ...moving,
  'Softmax',
  'LogSoftmax',
  'Sigmoid',
  'Relu',
  'Clip',
  'Add',
  'Mul',
  'BatchNormalization',
  'GlobalAveragePool',
  'AveragePool',
  'ReduceMean',
  'Transpose',
])

function backThrough(
  tensor: string,
  ops: ReadonlySet<string>,
  backbone: Backbone,
): { tensor: string; node?: NodeProto | undefined } {
  const made = producers(backbone.graph)
  let current = tensor
  for (;;) {
    const node = made.get(current)
    const input = node && ops.has(node.opType) ? dataInput(node, backbone) : undefined
    if (!node || input === undefined) return node ? { tensor: current, node } : { tensor: current }
    current = input
  }
}

/**
 * The tensor that embeddings are read from by default: the input of the last classifier (Gemm, MatMul or 1×1 Conv with
 * stored weights), taken back through Dropout, Flatten and Reshape. A network without a classifier gives its own
 * output.
 */
export function defaultTensor(backbone: Backbone): string {
  const output = backbone.graph.output[0]?.name ?? ''
  const { node } = backThrough(output, afterClassifier, backbone)
  const classifierInput = node && isWeighted(node, backbone) ? dataInput(node, backbone) : undefined
  return backThrough(classifierInput ?? output, moving, backbone).tensor
}

/** Follows a convolution's or dense layer's output to after its bias, normalisation and activation. */
function activatedTensor(tensor: string, backbone: Backbone): string {
  const readers = consumers(backbone.graph)
  let current = tensor
  for (;;) {
    const [next, ...others] = readers.get(current) ?? []
    const kind = next ? kinds[next.opType] : undefined
    const output = next?.output[0]
    if (!next || others.length > 0 || output === undefined || dataInput(next, backbone) === undefined) return current
    if (kind === 'relu' || kind === 'activation') return output
    const affine = next.opType === 'Add' || next.opType === 'Mul' || next.opType === 'BatchNormalization'
    if (!affine) return current
    current = output
  }
}

/** A MatMul's output after the bias that some exporters add in a node of its own; anything else as it is. */
function biasedTensor(tensor: string, backbone: Backbone): string {
  const maker = producers(backbone.graph).get(tensor)
  const [next, ...others] = consumers(backbone.graph).get(tensor) ?? []
  if (maker?.opType !== 'MatMul' || next?.opType !== 'Add' || others.length > 0) return tensor
  return dataInput(next, backbone) === undefined ? tensor : (next.output[0] ?? tensor)
}

/** Which tensor each of the card's aliases means. Aliases that do not fit this graph are left out. */
function aliasesOf(
  card: Pick<Card, 'layers'> | undefined,
  layers: readonly Layer[],
  backbone: Backbone,
): Map<string, string> {
  const found = new Map<string, string>()
  for (const entry of card?.layers ?? []) {
    if ('tensor' in entry) {
      found.set(entry.alias, entry.tensor)
      continue
    }
    const layer = layers.filter(({ kind }) => kind === entry.kind).at(entry.index)
    if (!layer) continue
    const wanted = entry.activated ?? (entry.kind === 'conv' || entry.kind === 'dense')
    found.set(entry.alias, wanted ? activatedTensor(layer.tensor, backbone) : biasedTensor(layer.tensor, backbone))
  }
  return found
}

/**
 * All tensors that embeddings can be read from, in the order in which the network computes them.
 *
 * @example listLayers(prepareBackbone(await readModel('alexnet.onnx')), card)
 */
export function listLayers(backbone: Backbone, card?: Pick<Card, 'layers' | 'defaultLayer'>): Layer[] {
  const bare = backbone.graph.node.flatMap((node): Layer[] => {
    const tensor = node.output[0] ?? ''
    const shape = backbone.facts.get(tensor)?.shape
    if (tensor === '' || backbone.constants.has(tensor) || !isReadable(shape)) return []
    if (moving.has(node.opType) || isPadKeeper(node)) return []
    const kind = kinds[node.opType]
    return [{ tensor, shape, kind: kind ?? 'other', aliases: [], isDefault: false }]
  })
  const aliases = aliasesOf(card, bare, backbone)
  const chosen = card?.defaultLayer
  const byDefault = chosen === undefined ? defaultTensor(backbone) : (aliases.get(chosen) ?? chosen)
  return bare.map((layer) => ({
    ...layer,
    aliases: [...aliases].flatMap(([name, tensor]) => (tensor === layer.tensor ? [name] : [])),
    isDefault: layer.tensor === byDefault,
  }))
}

/** The name by which a layer is shown and stored: its first alias, else the tensor's name. */
export const layerName = (layer: Layer): string => layer.aliases[0] ?? layer.tensor

/**
 * Finds layers by alias or tensor name; none asked for means the default layer.
 *
 * @throws Fc7Error LAYER_UNKNOWN with the names that there are
 */
export function chooseLayers(
  layers: readonly Layer[],
  wanted: readonly string[] = [],
): { readonly name: string; readonly layer: Layer }[] {
  if (wanted.length === 0) {
    const layer = layers.find(({ isDefault }) => isDefault) ?? layers.at(-1)
    if (!layer) {
      throw new Fc7Error('LAYER_UNKNOWN', 'The model has no tensor that embeddings can be read from.', {
        hint: 'Is it a convolutional network for images?',
      })
    }
    return [{ name: layerName(layer), layer }]
  }
  return [...new Set(wanted)].map((name) => {
    const layer = layers.find(({ aliases }) => aliases.includes(name)) ?? layers.find(({ tensor }) => tensor === name)
    if (layer) return { name, layer }
    const named = layers.flatMap(({ aliases }) => aliases)
    const some = named.length > 0 ? named : layers.slice(-8).map(({ tensor }) => tensor)
    throw new Fc7Error('LAYER_UNKNOWN', `The model has no layer "${name}".`, {
      hint: `Among its layers are ${some.join(', ')}; \`fc7 models layers\` lists all.`,
    })
  })
}
