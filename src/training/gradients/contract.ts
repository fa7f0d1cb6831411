import { Fc7Error } from '../../base/errors.js'
import type { GraphBuilder } from '../../onnx/build.js'
import type { NodeProto, TensorProto } from '../../onnx/generated/onnx_pb.js'
import type { Attributes } from './attributes.js'

/** What both halves of a rule can see. Every shape is static: a training graph is built for one batch size. */
export interface RuleContext {
  /** Nodes are appended here. */
  readonly g: GraphBuilder
  /** The forward node. */
  readonly node: NodeProto
  readonly attributes: Attributes
  /** Static shape of a forward tensor. */
  shape(tensor: string): readonly number[]
  /** Whether gradients have to reach this input. */
  wanted(input: number): boolean
  /** The numbers of an input that is a constant of the graph; undefined where it is computed or absent. */
  constant(input: number): readonly number[] | undefined
  /** True for a BatchNormalization that normalises by the statistics of its batch. */
  readonly batchStatistics: boolean
  /** Names that the forward half kept for the backward half. */
  readonly saved: Map<string, string>
}

export interface ForwardContext extends RuleContext {
  /**
   * A float32 tensor of this shape that is 0 with probability `rate` and 1 / (1 − rate) elsewhere, from a graph input.
   */
  mask(shape: readonly number[], rate: number): string
  /** Says that a state of the network (a running mean) has a new value after this step. */
  update(initializer: string, tensor: string): void
}

export interface BackwardContext extends RuleContext {
  /** The gradient that arrives at an output, or undefined where none does. */
  gradient(output: number): string | undefined
  /** The gradient at the first output, which always exists for ops with one output. */
  readonly dy: string
}

/**
 * How one ONNX op passes gradients back. Each is one small file, listed in the registry; the suite in
 * test/training/gradients.test.ts checks every entry against finite differences.
 */
export interface GradientRule {
  readonly op: string
  /** Writes the node's forward pass in the form that training needs. Default: the node as it stands. */
  forward?(context: ForwardContext): void
  /** Appends the nodes of the backward pass; returns one gradient per input, undefined where none is wanted. */
  backward(context: BackwardContext): readonly (string | undefined)[]
}

/** The error of a node that a rule exists for, but not in this form. */
export function unsupported(node: NodeProto, what: string): Fc7Error {
  return new Fc7Error(
    'GRADIENT_UNSUPPORTED',
    `The ${node.opType} node at ${node.output[0] ?? node.name} cannot be trained: ${what}.`,
    { hint: 'Freeze the network beyond this layer (--freeze-until), or train only its head.' },
  )
}

/** The graph around a rule: initializers by name. */
export type Initializers = ReadonlyMap<string, TensorProto>
