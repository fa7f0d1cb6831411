import type { NodeProto } from '../generated/onnx_pb.js'

/**
 * A size that is known, or the name of one that is not (`'N'`; names beginning with `?` are made up by the inference).
 */
export type Dim = number | string

/** What the inference knows of a tensor. */
export interface TensorFacts {
  /** Undefined: not even the number of dimensions is known. */
  readonly shape: readonly Dim[] | undefined
  /** ONNX's number of the element type; 0 when it is not known. */
  readonly elemType: number
  /** Values of small integer tensors, such as what `Reshape` takes. */
  readonly ints?: readonly Dim[] | undefined
}

/** What a rule may ask about the tensors before its node. */
export interface KnownShapes {
  /** The facts of a node's input `index`. */
  input(node: NodeProto, index: number): TensorFacts
  /** A fresh name for a size that cannot be known. */
  unknownDim(): string
}

/** Derives the outputs' facts of one node. */
export type ShapeRule = (node: NodeProto, known: KnownShapes) => (TensorFacts | undefined)[]
