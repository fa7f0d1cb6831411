import { create } from '@bufbuild/protobuf'
import { Fc7Error } from '../base/errors.js'
import { valueInfo } from '../onnx/build.js'
import { withGraph, withModel } from '../onnx/edit.js'
import {
  TensorProto_DataType as DataType,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  TensorProtoSchema,
} from '../onnx/generated/onnx_pb.js'
import { inferShapes } from '../onnx/shapes/shapes.js'
import { attributeOf, intsAttribute } from '../onnx/values.js'
import { graphOf, inOrder, opsetOf, realInputs } from '../onnx/walk.js'
import { modernise } from './modernise.js'

/**
 * A network with one input, laid out for differentiation: nodes in order, constants as initializers, shapes all static.
 */
export interface Network {
  readonly input: string
  readonly inputType: 'float32' | 'uint8'
  readonly nodes: readonly NodeProto[]
  readonly initializers: ReadonlyMap<string, TensorProto>
  /** Shapes at the batch size the network was prepared for. */
  readonly shapes: ReadonlyMap<string, readonly number[]>
  readonly outputs: readonly string[]
  readonly batch: number
  /** Operator set that the nodes are written in, 17 or newer. */
  readonly opset: number
}

function constantTensor(node: NodeProto): TensorProto | undefined {
  const name = node.output[0]!
  const value = attributeOf(node, 'value')?.t
  if (value) {
    const { $typeName: _, ...fields } = value
    return create(TensorProtoSchema, { ...fields, name })
  }
  const float = attributeOf(node, 'value_float')
  if (float) return create(TensorProtoSchema, { name, dataType: DataType.FLOAT, floatData: [float.f] })
  const ints = intsAttribute(node, 'value_ints')
  if (ints)
    return create(TensorProtoSchema, {
      name,
      dataType: DataType.INT64,
      dims: [BigInt(ints.length)],
      int64Data: ints.map(BigInt),
    })
  return undefined
}

/**
 * Prepares a model for a training graph of batches of `batch` rows: the first dimension of its input is fixed, and
 * every shape follows from it.
 *
 * @throws Fc7Error TRAIN_INPUT unless the model has exactly one float32 or uint8 input of known row shape
 */
export function prepareNetwork(given: ModelProto, batch: number): Network {
  const model = modernise(given)
  const graph = graphOf(model)
  const inputs = realInputs(graph)
  const [input] = inputs
  const type = input?.type?.value.case === 'tensorType' ? input.type.value.value : undefined
  const row = type?.shape?.dim.slice(1).map(({ value }) => (value.case === 'dimValue' ? Number(value.value) : 0))
  const inputType =
    type?.elemType === DataType.FLOAT ? 'float32' : type?.elemType === DataType.UINT8 ? 'uint8' : undefined
  if (!input || inputs.length !== 1 || !row || row.some((n) => n <= 0) || !inputType) {
    throw new Fc7Error('TRAIN_INPUT', 'The network to train must have one float32 or uint8 input of known size.', {
      hint: 'Its first dimension may be open (the batch), the others must be numbers.',
    })
  }
  const fixed = withModel(model, {
    graph: withGraph(graph, { input: [valueInfo(input.name, inputType, [batch, ...row])] }),
  })
  const shapes = new Map<string, readonly number[]>()
  for (const [name, { shape }] of inferShapes(fixed)) {
    if (shape?.every((n) => typeof n === 'number')) shapes.set(name, shape as readonly number[])
  }
  const initializers = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]))
  const nodes = inOrder(graph).filter((node) => {
    const constant = node.opType === 'Constant' ? constantTensor(node) : undefined
    if (constant) initializers.set(constant.name, constant)
    return !constant
  })
  return {
    input: input.name,
    inputType,
    nodes,
    initializers,
    shapes,
    outputs: graph.output.map(({ name }) => name),
    batch,
    opset: opsetOf(model),
  }
}
