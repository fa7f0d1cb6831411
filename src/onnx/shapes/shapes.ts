import type { GraphProto, ModelProto, NodeProto, ValueInfoProto } from '../generated/onnx_pb.js'
import { TensorProto_DataType as DataType } from '../generated/onnx_pb.js'
import { intsOf } from '../values.js'
import { graphOf, inOrder, opsetOf } from '../walk.js'
import type { Dim, KnownShapes, TensorFacts } from './shape-facts.js'
import { shapeRules } from './shape-rules.js'

export type { Dim, TensorFacts } from './shape-facts.js'

export const unknownFacts: TensorFacts = { shape: undefined, elemType: 0 }

/** Largest integer tensor whose values the inference follows. */
const maxFollowedInts = 1024

/**
 * Shape inference for the graphs of convolutional networks. It never fails: what it does not know stays unknown. Nodes
 * are fed one by one with {@link ShapeInference.step}, so that a caller may change a node before it is looked at.
 */
export class ShapeInference implements KnownShapes {
  readonly facts = new Map<string, TensorFacts>()
  readonly opset: number
  #unknowns = 0

  constructor(graph: GraphProto, opset: number) {
    this.opset = opset
    for (const info of graph.input) this.facts.set(info.name, factsOfInfo(info))
    for (const tensor of graph.initializer) {
      const shape = tensor.dims.map(Number)
      const count = shape.reduce((product, n) => product * n, 1)
      const isInteger = tensor.dataType === DataType.INT64 || tensor.dataType === DataType.INT32
      this.facts.set(tensor.name, {
        shape,
        elemType: tensor.dataType,
        ints: isInteger && shape.length <= 1 && count <= maxFollowedInts ? intsOf(tensor) : undefined,
      })
    }
  }

  of(name: string | undefined): TensorFacts {
    return (name === undefined ? undefined : this.facts.get(name)) ?? unknownFacts
  }

  /** The facts of a node's input `index`. */
  input(node: NodeProto, index: number): TensorFacts {
    return this.of(node.input[index])
  }

  /** A fresh name for a size that cannot be known. */
  unknownDim(): string {
    return `?${this.#unknowns++}`
  }

  /** Derives the facts of a node's outputs from those of its inputs. */
  step(node: NodeProto): void {
    const rule = node.domain === '' || node.domain === 'ai.onnx' ? shapeRules.get(node.opType) : undefined
    const outputs = rule?.(node, this) ?? []
    node.output.forEach((name, i) => {
      if (name !== '') this.facts.set(name, outputs[i] ?? unknownFacts)
    })
  }
}

/** Shape and type as a graph input or output declares them. */
export function factsOfInfo(info: ValueInfoProto): TensorFacts {
  if (info.type?.value.case !== 'tensorType') return unknownFacts
  const { elemType, shape } = info.type.value.value
  return {
    elemType,
    shape: shape?.dim.map(({ value }, i) =>
      value.case === 'dimValue' && value.value > 0n
        ? Number(value.value)
        : value.case === 'dimParam' && value.value !== ''
          ? value.value
          : `?${info.name}.${i}`,
    ),
  }
}

/** Facts of every tensor of the model's main graph, by name. */
export function inferShapes(model: ModelProto): Map<string, TensorFacts> {
  const graph = graphOf(model)
  const inference = new ShapeInference(graph, opsetOf(model))
  for (const node of inOrder(graph)) inference.step(node)
  return inference.facts
}

/** `[N, 64, 112, 112]`; unknown sizes as `?`. */
export function formatShape(shape: readonly Dim[] | undefined): string {
  return shape
    ? `[${shape.map((dim) => (typeof dim === 'string' && dim.startsWith('?') ? '?' : dim)).join(', ')}]`
    : '?'
}
