import { chooseLayers, type Layer, layerName, listLayers } from '../../backbones/layers.js'
import type { Backbone } from '../../backbones/prepare.js'
import type { NodeProto } from '../../onnx/generated/onnx_pb.js'
import { inOrder } from '../../onnx/walk.js'

/** A layer of the sweep and how far up the network it stands. */
export interface SweepLayer {
  readonly name: string
  readonly tensor: string
  /** Weighted layers up to here, in parts of those up to the default layer: 1 is the default layer itself. */
  readonly depth: number
}

export interface SweepPlan {
  /** From the first to the default layer, which is the last. */
  readonly layers: readonly SweepLayer[]
  /** The layer that holds the source classifier's scores, where the network has one. */
  readonly scores: string | undefined
}

const carries = new Set<Layer['kind']>(['relu', 'activation', 'add', 'concat', 'norm', 'conv', 'dense'])

const isWeighted = (node: NodeProto): boolean => ['Conv', 'Gemm', 'MatMul'].includes(node.opType)

const areaOf = (layer: Layer): number =>
  layer.shape.length === 4 ? Number(layer.shape[2]) * Number(layer.shape[3]) : 1

/**
 * Which layers a sweep over the depth reads: the end of every stage (the last activation before the image gets
 * smaller), dense activations, and the default layer. No network is named: stages are read off the shapes. A stage's
 * end of which the default layer is merely the mean is left out, for the sweep pools it to the same numbers.
 *
 * @param most the first stages are thinned out beyond this many layers
 */
export function planSweep(trunk: Backbone, card: Parameters<typeof listLayers>[1], most = 6): SweepPlan {
  const layers = listLayers(trunk, card)
  const last = chooseLayers(layers)[0]!.layer
  const end = layers.indexOf(last)
  const upTo = layers.slice(0, end + 1)
  const stages = upTo.filter((layer, i) => {
    if (i === end || !carries.has(layer.kind) || !layer.shape.slice(1).every((n) => typeof n === 'number')) return false
    // Of the same area and with an activation still to come, this is not the end of its stage.
    const later = upTo.slice(i + 1).filter((next) => carries.has(next.kind) && areaOf(next) === areaOf(layer))
    return areaOf(layer) > 1 ? later.length === 0 : layer.kind === 'relu' && later.length > 0
  })
  const weighted = weightedBefore(trunk)
  const whole = Math.max(1, weighted.get(last.tensor) ?? 1)
  const isMeanOf = (layer: Layer): boolean =>
    areaOf(last) === 1 && areaOf(layer) > 1 && weighted.get(layer.tensor) === weighted.get(last.tensor)
  const kept = stages.filter((layer) => !isMeanOf(layer))
  const thinned = kept.slice(Math.max(0, kept.length - (most - 1)))
  const scores = layers.filter((layer) => layer.shape.length === 2 || areaOf(layer) === 1).at(-1)
  return {
    layers: [...thinned, last].map((layer) => ({
      name: layerName(layer),
      tensor: layer.tensor,
      depth: layer === last ? 1 : Math.min(1, (weighted.get(layer.tensor) ?? 0) / whole),
    })),
    scores: scores && layers.indexOf(scores) > end ? layerName(scores) : undefined,
  }
}

/** Weighted operators on the longest path from the image to each tensor. */
function weightedBefore({ graph }: Backbone): Map<string, number> {
  const depth = new Map<string, number>()
  for (const node of inOrder(graph)) {
    const before = Math.max(0, ...node.input.map((name) => depth.get(name) ?? 0))
    for (const output of node.output) depth.set(output, before + (isWeighted(node) ? 1 : 0))
  }
  return depth
}
