import type { ModelProto } from '../generated/onnx_pb.js'

/** A change of a graph that leaves its results as they are, to rounding, and makes it faster. */
export interface Rewrite {
  /** Recorded in every store that was made with it. */
  readonly id: string
  readonly description: string
  /**
   * The changed model (weights shared with the given one) and how many places were changed; the given one stays as it
   * is.
   */
  apply(model: ModelProto): { readonly model: ModelProto; readonly changed: number }
}
