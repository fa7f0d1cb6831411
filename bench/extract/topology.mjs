// The ONNX project's "light" models hold the true graph of a network with constants for weights. This gives them seeded
// random weights (He's scale), so that they can be timed and their numbers compared.
import { createRandom } from '../../dist/base/random.js'
import { tensor } from '../../dist/onnx/build.js'
import { withGraph, withModel } from '../../dist/onnx/edit.js'
import { readModel } from '../../dist/onnx/read.js'
import { intsOf } from '../../dist/onnx/values.js'
import { writeModel } from '../../dist/onnx/write.js'

/** Writes `light` to `out` with each ConstantOfShape of it replaced by an initializer of random values. */
export async function randomWeights(light, out) {
  const model = await readModel(light)
  const { graph } = model
  const known = new Map(graph.initializer.map((initializer) => [initializer.name, initializer]))
  const random = createRandom('light weights')
  const weights = []
  const node = graph.node.filter((each) => {
    if (each.opType !== 'ConstantOfShape') return true
    const dims = intsOf(known.get(each.input[0]))
    const size = dims.reduce((product, n) => product * n, 1)
    const scale = Math.sqrt(2 / (dims.length > 1 ? size / dims[0] : 100))
    const values = new Float32Array(size)
    for (let i = 0; i < size; i++) values[i] = random.normal() * scale
    weights.push(tensor(each.output[0], 'float32', dims, values))
    return false
  })
  const next = withGraph(graph, { node, initializer: [...graph.initializer, ...weights] })
  await writeModel(withModel(model, { graph: next }), out)
}
