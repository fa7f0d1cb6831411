import { Fc7Error } from '../base/errors.js'
import type { GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from './generated/onnx_pb.js'

/** The model's main graph. @throws Fc7Error ONNX_BROKEN when there is none */
export function graphOf(model: ModelProto): GraphProto {
  if (model.graph) return model.graph
  throw new Fc7Error('ONNX_BROKEN', 'The ONNX model has no graph.', { hint: 'Is it an ONNX file, and whole?' })
}

/** Version of the standard operator set (domain `''`) that the model is written in; 1 when it names none. */
export function opsetOf(model: ModelProto): number {
  const found = model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')
  return found ? Number(found.version) : 1
}

/** The graphs inside a node's attributes (bodies of If, Loop, Scan). */
export function subgraphs(node: NodeProto): GraphProto[] {
  return node.attribute.flatMap((attribute) => [...(attribute.g ? [attribute.g] : []), ...attribute.graphs])
}

/** Every graph of the model, bodies and functions' bodies included, outermost first. */
export function* allGraphs(model: ModelProto): Generator<GraphProto> {
  const open: GraphProto[] = model.graph ? [model.graph] : []
  for (const info of model.trainingInfo) {
    if (info.initialization) open.push(info.initialization)
    if (info.algorithm) open.push(info.algorithm)
  }
  for (const body of model.functions) for (const node of body.node) open.push(...subgraphs(node))
  for (let graph = open.shift(); graph; graph = open.shift()) {
    yield graph
    for (const node of graph.node) open.push(...subgraphs(node))
  }
}

/** Every tensor that the model stores: initializers and tensors in attributes, of all graphs. */
export function* allTensors(model: ModelProto): Generator<TensorProto> {
  function* ofNodes(nodes: readonly NodeProto[]): Generator<TensorProto> {
    for (const node of nodes) {
      for (const attribute of node.attribute) {
        if (attribute.t) yield attribute.t
        yield* attribute.tensors
        for (const sparse of [
          ...(attribute.sparseTensor ? [attribute.sparseTensor] : []),
          ...attribute.sparseTensors,
        ]) {
          if (sparse.values) yield sparse.values
          if (sparse.indices) yield sparse.indices
        }
      }
    }
  }
  for (const graph of allGraphs(model)) {
    yield* graph.initializer
    for (const sparse of graph.sparseInitializer) {
      if (sparse.values) yield sparse.values
      if (sparse.indices) yield sparse.indices
    }
    yield* ofNodes(graph.node)
  }
  for (const body of model.functions) yield* ofNodes(body.node)
}

/** Names that a subgraph takes from the graphs around it. */
function captured(graph: GraphProto): Set<string> {
  const inner = new Set<string>([
    ...graph.input.map(({ name }) => name),
    ...graph.initializer.map(({ name }) => name),
    ...graph.sparseInitializer.map(({ values }) => values?.name ?? ''),
    ...graph.node.flatMap(({ output }) => output),
  ])
  const outer = new Set<string>()
  for (const name of [...graph.node.flatMap(dependencies), ...graph.output.map(({ name }) => name)]) {
    if (name !== '' && !inner.has(name)) outer.add(name)
  }
  return outer
}

/**
 * All tensor names that a node needs: its inputs (the empty ones left out) and what its subgraphs take from outside.
 */
export function dependencies(node: NodeProto): string[] {
  const direct = node.input.filter((name) => name !== '')
  const bodies = subgraphs(node)
  return bodies.length === 0 ? direct : [...direct, ...bodies.flatMap((body) => [...captured(body)])]
}

/** Which node makes each tensor. */
export function producers(graph: GraphProto): Map<string, NodeProto> {
  const map = new Map<string, NodeProto>()
  for (const node of graph.node) for (const name of node.output) if (name !== '') map.set(name, node)
  return map
}

/** Which nodes take each tensor, in file order. */
export function consumers(graph: GraphProto): Map<string, NodeProto[]> {
  const map = new Map<string, NodeProto[]>()
  for (const node of graph.node) {
    for (const name of new Set(dependencies(node))) {
      const list = map.get(name)
      if (list) list.push(node)
      else map.set(name, [node])
    }
  }
  return map
}

/** The graph's real inputs: files before IR version 4 list every weight among them too. */
export function realInputs(graph: GraphProto): ValueInfoProto[] {
  const stored = new Set(graph.initializer.map(({ name }) => name))
  return graph.input.filter(({ name }) => !stored.has(name))
}

/** Tensors that do not depend on the graph's inputs: initializers and what nodes compute from them alone. */
export function constantNames(graph: GraphProto): Set<string> {
  const constant = new Set<string>(graph.initializer.map(({ name }) => name))
  for (const sparse of graph.sparseInitializer) if (sparse.values) constant.add(sparse.values.name)
  const random = new Set(['RandomNormal', 'RandomUniform'])
  for (const node of graph.node) {
    if (!random.has(node.opType) && dependencies(node).every((name) => constant.has(name)))
      for (const name of node.output) constant.add(name)
  }
  return constant
}

/**
 * The nodes in an order in which each comes after what it needs; a graph in order keeps its order.
 *
 * @throws Fc7Error ONNX_CYCLE naming one node of the circle
 */
export function inOrder(graph: GraphProto): NodeProto[] {
  const made = producers(graph)
  const state = new Map<NodeProto, 'open' | 'done'>()
  const order: NodeProto[] = []
  // An explicit stack: a hostile chain of a million nodes must not overflow the call stack.
  for (const root of graph.node) {
    const stack: { node: NodeProto; rest: string[] }[] = []
    const enter = (node: NodeProto): void => {
      if (state.get(node) === 'done') return
      if (state.get(node) === 'open') {
        const name = node.name || node.output[0] || ''
        throw new Fc7Error('ONNX_CYCLE', `The ONNX graph runs in a circle through the ${node.opType} node ${name}.`, {
          hint: 'The ONNX file is broken; export it again.',
        })
      }
      state.set(node, 'open')
      stack.push({ node, rest: dependencies(node) })
    }
    enter(root)
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const name = top.rest.shift()
      if (name === undefined) {
        state.set(top.node, 'done')
        order.push(top.node)
        stack.pop()
      } else {
        const maker = made.get(name)
        if (maker) enter(maker)
      }
    }
  }
  return order
}
