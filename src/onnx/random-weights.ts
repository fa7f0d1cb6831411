import { createRandom } from '../base/random.js'
import { tensor } from './build.js'
import { withGraph, withModel } from './edit.js'
import type { ModelProto, TensorProto } from './generated/onnx_pb.js'
import { intsOf } from './values.js'
import { graphOf } from './walk.js'

/** Prime, so that the block's repetitions fall differently into every tensor. */
const blockLength = 1_000_003

/**
 * Writes seeded random weights into a light model, in place of the constants that it computes: as large as He et al.
 * initialise, so that values stay near 1 through any depth; variances of batch normalisation are positive. For tests
 * and benches that need a network's true graph where its trained weights cannot be had.
 */
export function withRandomWeights(model: ModelProto, seed: string): ModelProto {
  const graph = graphOf(model)
  const random = createRandom(seed)
  const block = Float32Array.from({ length: blockLength }, () => random.normal())
  const stored = new Map(graph.initializer.map((entry) => [entry.name, entry]))
  const variances = new Set<string>()
  const scales = new Set<string>()
  for (const { opType, input } of graph.node) {
    if (opType !== 'BatchNormalization') continue
    scales.add(input[1] ?? '')
    variances.add(input[4] ?? '')
  }
  const made: TensorProto[] = []
  let start = 0
  const node = graph.node.filter(({ opType, input, output }) => {
    const shape = stored.get(input[0] ?? '')
    const name = output[0] ?? ''
    if (opType !== 'ConstantOfShape' || !shape) return true
    const dims = intsOf(shape)
    const count = dims.reduce((product, n) => product * n, 1)
    const values = new Float32Array(count)
    for (let at = 0; at < count; ) {
      const part = block.subarray(start, start + count - at)
      values.set(part, at)
      at += part.length
      start = (start + part.length) % blockLength
    }
    const fanIn = dims.slice(1).reduce((product, n) => product * n, 1)
    const scale = dims.length > 1 ? Math.sqrt(2 / fanIn) : 0.1
    const positive = variances.has(name) || scales.has(name)
    for (let i = 0; i < count; i++) {
      const value = (values[i] ?? 0) * scale
      values[i] = positive ? 1 + Math.abs(value) : value
    }
    made.push(tensor(name, 'float32', dims, values))
    return false
  })
  return withModel(model, { graph: withGraph(graph, { node, initializer: [...graph.initializer, ...made] }) })
}
