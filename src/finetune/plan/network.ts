import type { Layer } from '../../backbones/layers.js'
import { tensor } from '../../onnx/build.js'
import { withGraph, withModel } from '../../onnx/edit.js'
import type { ModelProto } from '../../onnx/generated/onnx_pb.js'
import { graphOf } from '../../onnx/walk.js'

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

/** Parameters above the boundary, which train. Weights that the frozen layers share stay frozen. */
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
