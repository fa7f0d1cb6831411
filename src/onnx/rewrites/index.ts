import type { ModelProto } from '../generated/onnx_pb.js'
import { lrnAsConv } from './lrn.js'
import type { Rewrite } from './rewrite.js'

export type { Rewrite } from './rewrite.js'

/** All exact rewrites, in the order in which they run. */
export const rewrites: readonly Rewrite[] = [lrnAsConv]

/** Runs the rewrites over a model. `applied` lists the ids of those that changed something. */
export function applyRewrites(
  model: ModelProto,
  chosen: readonly Rewrite[] = rewrites,
): { model: ModelProto; applied: string[] } {
  const applied: string[] = []
  let current = model
  for (const rewrite of chosen) {
    const result = rewrite.apply(current)
    if (result.changed > 0) applied.push(rewrite.id)
    current = result.model
  }
  return { model: current, applied }
}
