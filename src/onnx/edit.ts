import { create } from '@bufbuild/protobuf'
import { Fc7Error } from '../base/errors.js'
import {
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './generated/onnx_pb.js'
import { dependencies, graphOf, inOrder, producers, realInputs } from './walk.js'

type Fields<T> = Omit<T, '$typeName' | '$unknown'>

/** A node like `node` with some fields changed; attributes (and their weights) are shared, not copied. */
export function withNode(node: NodeProto, changes: Partial<Fields<NodeProto>>): NodeProto {
  const { $typeName: _, ...fields } = node
  return create(NodeProtoSchema, { ...fields, ...changes })
}

/** A graph like `graph` with some fields changed; nothing that stays is copied. */
export function withGraph(graph: GraphProto, changes: Partial<Fields<GraphProto>>): GraphProto {
  const { $typeName: _, ...fields } = graph
  return create(GraphProtoSchema, { ...fields, ...changes })
}

/** A model like `model` with another graph (and other fields). */
export function withModel(model: ModelProto, changes: Partial<Fields<ModelProto>>): ModelProto {
  const { $typeName: _, ...fields } = model
  return create(ModelProtoSchema, { ...fields, ...changes })
}

function renamedTensor(tensor: TensorProto, name: string): TensorProto {
  const { $typeName: _, ...fields } = tensor
  return create(TensorProtoSchema, { ...fields, name })
}

function renamedInfo(info: ValueInfoProto, name: string): ValueInfoProto {
  const { $typeName: _, ...fields } = info
  return create(ValueInfoProtoSchema, { ...fields, name })
}

/**
 * The part of a graph that computes `outputs`, cut off below at `inputs`: nodes, initializers and graph inputs that
 * nothing wanted needs are gone, stored type notes too. Weights are shared with the original.
 *
 * `inputs` (default: the graph's own) may name inner tensors; they become graph inputs, described by `inputs`' own
 * entries.
 *
 * @throws Fc7Error ONNX_NO_TENSOR when an output is not in the graph
 */
export function cutGraph(
  graph: GraphProto,
  outputs: readonly ValueInfoProto[],
  inputs: readonly ValueInfoProto[] = realInputs(graph),
): GraphProto {
  const made = producers(graph)
  const stops = new Set(inputs.map(({ name }) => name))
  const stored = new Set(graph.initializer.map(({ name }) => name))
  const needed = new Set<string>()
  const wantedNodes = new Set<NodeProto>()
  const open = outputs.map(({ name }) => name)
  for (const name of open) {
    if (!made.has(name) && !stops.has(name) && !stored.has(name)) {
      throw new Fc7Error('ONNX_NO_TENSOR', `The graph has no tensor named ${name}.`, {
        hint: '`fc7 models layers` lists the tensors that a network has.',
      })
    }
  }
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (needed.has(name)) continue
    needed.add(name)
    const maker = stops.has(name) ? undefined : made.get(name)
    if (!maker || wantedNodes.has(maker)) continue
    wantedNodes.add(maker)
    open.push(...dependencies(maker))
  }
  return withGraph(graph, {
    node: inOrder(graph).filter((node) => wantedNodes.has(node)),
    initializer: graph.initializer.filter(({ name }) => needed.has(name)),
    sparseInitializer: graph.sparseInitializer.filter(({ values }) => needed.has(values?.name ?? '')),
    input: inputs.filter(({ name }) => needed.has(name)),
    output: [...outputs],
    valueInfo: [],
    quantizationAnnotation: graph.quantizationAnnotation.filter(({ tensorName }) => needed.has(tensorName)),
  })
}

/** The graph with tensors renamed everywhere, bodies of control flow included. Weights are shared. */
export function renameTensors(graph: GraphProto, rename: (name: string) => string): GraphProto {
  const to = (name: string): string => (name === '' ? '' : rename(name))
  return withGraph(graph, {
    node: graph.node.map((node) =>
      withNode(node, {
        input: node.input.map(to),
        output: node.output.map(to),
        attribute: node.attribute.map((attribute) => {
          if (!attribute.g && attribute.graphs.length === 0) return attribute
          const { $typeName: _, ...fields } = attribute
          return create(AttributeProtoSchema, {
            ...fields,
            g: attribute.g && renameTensors(attribute.g, rename),
            graphs: attribute.graphs.map((body) => renameTensors(body, rename)),
          })
        }),
      }),
    ),
    initializer: graph.initializer.map((tensor) => renamedTensor(tensor, to(tensor.name))),
    input: graph.input.map((info) => renamedInfo(info, to(info.name))),
    output: graph.output.map((info) => renamedInfo(info, to(info.name))),
    valueInfo: graph.valueInfo.map((info) => renamedInfo(info, to(info.name))),
  })
}

/**
 * Puts one model on top of another: `links` maps inputs of `upper` to tensors of `lower`. Tensors of `upper` get
 * `prefix`, so that names do not meet. The result has `lower`'s inputs, what remains of `upper`'s, and `upper`'s
 * outputs under their own names (plus `keep`, outputs of `lower`).
 *
 * @throws Fc7Error ONNX_JOIN when the operator sets differ or a name is missing
 */
export function joinModels(
  lower: ModelProto,
  upper: ModelProto,
  links: ReadonlyMap<string, string>,
  options: { readonly prefix: string; readonly keep?: readonly string[] | undefined },
): ModelProto {
  const bottom = graphOf(lower)
  const top = graphOf(upper)
  const fail = (sentence: string): never => {
    throw new Fc7Error('ONNX_JOIN', sentence, { hint: 'Both models must be written in the same ONNX operator set.' })
  }
  const opsets = new Map(lower.opsetImport.map(({ domain, version }) => [domain, version]))
  for (const { domain, version } of upper.opsetImport) {
    const own = opsets.get(domain)
    if (own !== undefined && own !== version)
      fail(`The models cannot be joined: operator set "${domain}" is ${own} in one and ${version} in the other.`)
    opsets.set(domain, version)
  }
  const made = producers(bottom)
  const known = new Set([
    ...made.keys(),
    ...bottom.input.map(({ name }) => name),
    ...bottom.initializer.map((t) => t.name),
  ])
  for (const [input, source] of links) {
    if (!top.input.some(({ name }) => name === input)) fail(`The upper model has no input ${input}.`)
    if (!known.has(source)) fail(`The lower model has no tensor ${source}.`)
  }
  const finalNames = new Set(top.output.map(({ name }) => name))
  for (const name of finalNames) if (known.has(name)) fail(`Both models have a tensor named ${name}.`)
  const renamed = renameTensors(top, (name) => links.get(name) ?? (finalNames.has(name) ? name : options.prefix + name))
  const keep = bottom.output.filter(({ name }) => options.keep?.includes(name))
  const linked = new Set(links.values())
  return withModel(lower, {
    irVersion: BigInt(Math.max(Number(lower.irVersion), Number(upper.irVersion))),
    opsetImport: [...opsets].map(([domain, version]) => ({ $typeName: 'onnx.OperatorSetIdProto', domain, version })),
    graph: withGraph(bottom, {
      node: [...bottom.node, ...renamed.node],
      initializer: [...bottom.initializer, ...renamed.initializer],
      input: [...bottom.input, ...renamed.input.filter(({ name }) => !linked.has(name))],
      output: [...keep, ...renamed.output],
      valueInfo: [],
    }),
  })
}
