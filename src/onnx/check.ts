import { Fc7Error } from '../base/errors.js'
import { type GraphProto, TensorProto_DataLocation as Location, type ModelProto } from './generated/onnx_pb.js'
import { dataTypeName, elementCount, expectedBytes } from './values.js'
import { allTensors, dependencies, graphOf, inOrder, subgraphs } from './walk.js'

const brokenHint = 'The ONNX file is broken; export or fetch it again.'

function checkNames(graph: GraphProto, outer: ReadonlySet<string>, file: string): void {
  const defined = new Set<string>()
  const define = (name: string, what: string): void => {
    if (name === '') return
    if (defined.has(name)) {
      throw new Fc7Error('ONNX_DUPLICATE', `${file}: the tensor ${name} is made twice (${what}).`, { hint: brokenHint })
    }
    defined.add(name)
  }
  const inputs = new Set(graph.input.map(({ name }) => name))
  for (const { name } of graph.initializer) define(name, 'initializer')
  for (const name of inputs) if (!defined.has(name)) define(name, 'input')
  for (const sparse of graph.sparseInitializer) define(sparse.values?.name ?? '', 'sparse initializer')
  for (const node of graph.node) for (const name of node.output) define(name, `${node.opType} ${node.name}`)

  const visible = new Set([...outer, ...defined])
  for (const node of graph.node) {
    for (const name of dependencies(node)) {
      if (!visible.has(name)) {
        const where = `the ${node.opType} node ${node.name || node.output[0] || ''}`
        throw new Fc7Error(
          'ONNX_DANGLING',
          `${file}: ${where} needs the tensor ${name}, which nothing makes or stores.`,
          {
            hint: brokenHint,
          },
        )
      }
    }
    for (const body of subgraphs(node)) checkNames(body, visible, file)
  }
  for (const { name } of graph.output) {
    if (!visible.has(name)) {
      throw new Fc7Error('ONNX_DANGLING', `${file}: the graph's output ${name} is made by nothing.`, {
        hint: brokenHint,
      })
    }
  }
  inOrder(graph)
}

/**
 * Checks what every later step relies on: a graph with nodes' names defined once and before use (in some order), no
 * circles, outputs that exist, and stored tensors whose data has exactly the length that type and shape promise.
 *
 * @throws Fc7Error ONNX_BROKEN, ONNX_DUPLICATE, ONNX_DANGLING, ONNX_CYCLE, ONNX_TENSOR
 */
export function checkModel(model: ModelProto, file = 'The ONNX model'): void {
  const graph = graphOf(model)
  if (graph.output.length === 0)
    throw new Fc7Error('ONNX_BROKEN', `${file}: the graph has no output.`, { hint: brokenHint })
  checkNames(graph, new Set(), file)
  for (const tensor of allTensors(model)) {
    if (tensor.dataLocation === Location.EXTERNAL) continue
    const count = elementCount(tensor)
    const expected = expectedBytes(tensor)
    if (expected === undefined) continue
    const typed =
      tensor.floatData.length +
      tensor.int32Data.length +
      tensor.int64Data.length +
      tensor.doubleData.length +
      tensor.uint64Data.length
    const whole = tensor.rawData.length > 0 || typed === 0 ? tensor.rawData.length === expected : typed === count
    if (!whole) {
      throw new Fc7Error(
        'ONNX_TENSOR',
        `${file}: the data of ${tensor.name} (${dataTypeName(tensor.dataType)} [${tensor.dims.join(',')}], ` +
          `${expected} bytes) is missing or has another length.`,
        { hint: brokenHint },
      )
    }
  }
}
