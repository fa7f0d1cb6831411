import { Fc7Error } from '../base/errors.js'
import { tensor, valueInfo } from '../onnx/build.js'
import { withGraph, withModel, withNode } from '../onnx/edit.js'
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../onnx/generated/onnx_pb.js'
import { keepPads } from '../onnx/pads.js'
import { type Dim, factsOfInfo, formatShape, ShapeInference, type TensorFacts } from '../onnx/shapes/shapes.js'
import { constantNames, graphOf, inOrder, opsetOf, realInputs } from '../onnx/walk.js'

export type Layout = 'NCHW' | 'NHWC'

/** The graph's image input. */
export interface ImageInput {
  readonly name: string
  readonly layout: Layout
  /** Pixels; undefined where the graph leaves it open. */
  readonly height: number | undefined
  readonly width: number | undefined
}

/**
 * A backbone made ready for being read: batch symbolic, Dropout gone, every tensor's shape known as far as possible.
 */
export interface Backbone {
  readonly model: ModelProto
  readonly graph: GraphProto
  readonly input: ImageInput
  readonly facts: ReadonlyMap<string, TensorFacts>
  /** Tensors that do not depend on the image. */
  readonly constants: ReadonlySet<string>
}

/** What a caller knows about the input, usually from the card. */
export interface InputHint {
  readonly name?: string | undefined
  readonly layout?: Layout | undefined
  readonly width?: number | undefined
  readonly height?: number | undefined
}

const minOpset = 7

function inputError(sentence: string): Fc7Error {
  return new Fc7Error('MODEL_INPUT', sentence, {
    hint: 'fc7 runs networks with one RGB image as input; a card can name the input and its layout.',
  })
}

/**
 * Finds the graph's image input: the only real input with four dimensions of which one is 3.
 *
 * @throws Fc7Error MODEL_INPUT
 */
export function imageInput(model: ModelProto, hint: InputHint = {}): ImageInput {
  const inputs = realInputs(graphOf(model))
  const candidates = inputs.filter(({ name }) => hint.name === undefined || name === hint.name)
  const [info] = candidates
  if (!info || candidates.length !== 1 || inputs.length !== 1) {
    throw inputError(
      `The model's inputs are ${inputs.map(({ name }) => `"${name}"`).join(', ') || 'none'}; one is needed.`,
    )
  }
  const { shape } = factsOfInfo(info)
  if (shape?.length !== 4) throw inputError(`The model's input ${info.name} has the shape ${formatShape(shape)}.`)
  const open = (dim: Dim | undefined): boolean => typeof dim !== 'number'
  const fits: Record<Layout, boolean> = {
    NCHW: shape[1] === 3 || (open(shape[1]) && shape[3] !== 3),
    NHWC: shape[3] === 3 || (open(shape[3]) && shape[1] !== 3),
  }
  const layout = hint.layout ?? (fits.NCHW ? 'NCHW' : 'NHWC')
  if (!fits[layout]) throw inputError(`The model's input ${info.name} ${formatShape(shape)} is no RGB image.`)
  const [height, width] = layout === 'NCHW' ? [shape[2], shape[3]] : [shape[1], shape[2]]
  const known = (dim: Dim | undefined, hinted: number | undefined): number | undefined =>
    typeof dim === 'number' ? dim : hinted
  return { name: info.name, layout, height: known(height, hint.height), width: known(width, hint.width) }
}

/** A Reshape whose target names the batch gets 0 in its place, which copies whatever batch comes in. */
function freeReshape(
  node: NodeProto,
  data: TensorFacts,
  target: readonly Dim[] | undefined,
): { node: NodeProto; shape: TensorProto } | undefined {
  if (data.shape?.[0] !== 'N' || !target?.every((n) => typeof n === 'number')) return undefined
  const [first = 0, ...rest] = target as readonly number[]
  if (first < 1) return undefined
  const inner = data.shape.slice(1)
  const product = (dims: readonly Dim[]): number => dims.reduce<number>((all, n) => all * Number(n), 1)
  const resolved = rest.map((n, i) => (n === 0 ? (data.shape?.[i + 1] ?? 0) : n))
  // Only where the batch stays what it is: the rest of the values must fit into the rest of the shape.
  if (!rest.includes(-1) && product(inner) !== product(resolved)) return undefined
  const name = `${node.output[0] ?? ''}/any-batch`
  const shape = tensor(name, 'int64', [target.length], BigInt64Array.from([0, ...rest], BigInt))
  const attribute = node.attribute.filter((entry) => entry.name !== 'allowzero')
  return { node: withNode(node, { input: [node.input[0] ?? '', name], attribute }), shape }
}

const isStandard = ({ domain }: NodeProto): boolean => domain === '' || domain === 'ai.onnx'

/** A graph's nodes for any batch. */
interface FreedNodes {
  readonly nodes: readonly NodeProto[]
  /** Targets of the Reshapes that named the batch. */
  readonly shapes: readonly TensorProto[]
  /** Outputs of nodes that are gone, by what stands in their place. */
  readonly replaced: ReadonlyMap<string, string>
}

/** Walks the graph in order: Dropout goes, Reshapes take any batch, and `inference` learns every shape. */
function freeNodes(graph: GraphProto, inference: ShapeInference): FreedNodes {
  const nodes: NodeProto[] = []
  const shapes: TensorProto[] = []
  const replaced = new Map<string, string>()
  for (const original of inOrder(graph)) {
    const moved = original.input.some((name) => replaced.has(name))
    let node = moved ? withNode(original, { input: original.input.map((n) => replaced.get(n) ?? n) }) : original
    if (isStandard(node) && node.opType === 'Dropout') {
      replaced.set(node.output[0] ?? '', node.input[0] ?? '')
      inference.step(node)
      continue
    }
    if (isStandard(node) && node.opType === 'Reshape') {
      const target = inference.input(node, 1).ints
      const free = freeReshape(node, inference.input(node, 0), target)
      if (free) {
        const { name, dims, dataType: elemType } = free.shape
        node = free.node
        shapes.push(free.shape)
        inference.facts.set(name, { shape: dims.map(Number), elemType, ints: [0, ...(target ?? []).slice(1)] })
      }
    }
    inference.step(node)
    nodes.push(node)
  }
  return { nodes, shapes, replaced }
}

/** @throws Fc7Error MODEL_OPSET */
function checkedOpset(model: ModelProto): number {
  const opset = opsetOf(model)
  if (opset >= minOpset) return opset
  throw new Fc7Error('MODEL_OPSET', `The model is written in operator set ${opset}; fc7 reads ${minOpset} and later.`, {
    hint: 'Convert it with the ONNX version converter.',
  })
}

/**
 * Makes a backbone ready: the input's batch becomes `N` (also where it is baked into `Reshape`), Dropout disappears,
 * weights that old files list as inputs are inputs no more, stored type notes, which name the old batch, go. Weights
 * are shared.
 *
 * @throws Fc7Error MODEL_INPUT, MODEL_OPSET
 */
export function prepareBackbone(model: ModelProto, hint: InputHint = {}): Backbone {
  const opset = checkedOpset(model)
  // Max takes a scalar since operator set 8.
  const old = opset < 8 ? graphOf(model) : keepPads(graphOf(model))
  const input = imageInput(model, hint)
  const height = input.height ?? 'H'
  const width = input.width ?? 'W'
  const dims = input.layout === 'NCHW' ? ['N', 3, height, width] : ['N', height, width, 3]
  const start = withGraph(old, { input: [valueInfo(input.name, 'float32', dims)], valueInfo: [] })
  const inference = new ShapeInference(start, opset)
  const { nodes, shapes, replaced } = freeNodes(start, inference)
  const output = old.output.map((info) => {
    const name = replaced.get(info.name) ?? info.name
    return valueInfo(name, 'float32', inference.of(name).shape ?? [])
  })
  const graph = withGraph(start, { node: [...nodes], initializer: [...old.initializer, ...shapes], output })
  const irVersion = model.irVersion < 8n ? 8n : model.irVersion
  return {
    model: withModel(model, { graph, irVersion }),
    graph,
    input,
    facts: inference.facts,
    constants: constantNames(graph),
  }
}
