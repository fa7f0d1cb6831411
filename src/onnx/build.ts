import { create, toBinary } from '@bufbuild/protobuf'
import type { TensorValues } from '../base/safetensors.js'
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
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

/** Element types that fc7 builds graphs with; `string` for inputs and outputs only. */
export type ElementType = 'float32' | 'float16' | 'float64' | 'uint8' | 'int8' | 'int32' | 'int64' | 'bool' | 'string'

const dataTypes: Record<ElementType, DataType> = {
  float32: DataType.FLOAT,
  float16: DataType.FLOAT16,
  float64: DataType.DOUBLE,
  uint8: DataType.UINT8,
  int8: DataType.INT8,
  int32: DataType.INT32,
  int64: DataType.INT64,
  bool: DataType.BOOL,
  string: DataType.STRING,
}

export type { TensorValues } from '../base/safetensors.js'

/** Numbers are whole; floats, whole or not, are `{ float: 1 }` and `{ floats: [1, 2] }`; graphs are `{ graph }`. */
export type AttributeValue =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly graph: GraphProto }
  | { readonly tensor: TensorProto }

const utf8 = new TextEncoder()

/** A whole number becomes an INT attribute; a fraction is refused: write `{ float: x }`. */
export function attribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) throw new TypeError(`attribute ${name}: write { float: ${value} }`)
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) })
  }
  if (typeof value === 'string')
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: utf8.encode(value) })
  if ('float' in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float })
  if ('floats' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOATS, floats: [...value.floats] })
  if ('graph' in value) return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: value.graph })
  if ('tensor' in value) return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: value.tensor })
  if (typeof value[0] === 'string') {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRINGS,
      strings: (value as readonly string[]).map((s) => utf8.encode(s)),
    })
  }
  return create(AttributeProtoSchema, {
    name,
    type: AttributeType.INTS,
    ints: (value as readonly number[]).map(BigInt),
  })
}

/**
 * A tensor that holds a view of `values`, not a copy. float16 takes its bits as a Uint16Array, bool and uint8 a
 * Uint8Array.
 */
export function tensor(name: string, type: ElementType, dims: readonly number[], values: TensorValues): TensorProto {
  const count = dims.reduce((product, n) => product * n, 1)
  if (values.length !== count)
    throw new RangeError(`tensor ${name}: ${values.length} values for shape [${dims.join(',')}]`)
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: dataTypes[type],
    rawData: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  })
}

/** A graph input or output. A text dimension is symbolic (`'N'`). */
export function valueInfo(name: string, type: ElementType, dims: readonly (number | string)[]): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: 'tensorType',
        value: {
          elemType: dataTypes[type],
          shape: {
            dim: dims.map((n) =>
              typeof n === 'number'
                ? { value: { case: 'dimValue' as const, value: BigInt(n) } }
                : { value: { case: 'dimParam' as const, value: n } },
            ),
          },
        },
      },
    },
  })
}

export interface NodeOptions {
  /** Number of outputs, or their names. Default: one, with a fresh name. */
  readonly outputs?: number | readonly string[] | undefined
  readonly domain?: string | undefined
  readonly name?: string | undefined
}

/** A node of the standard operators, without a name. */
export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
): NodeProto {
  // ONNX is proto2: a field that is set to '' is written, and files keep their bytes.
  return create(NodeProtoSchema, {
    opType: op,
    domain: '',
    name: '',
    input: [...inputs],
    output: [...outputs],
    attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
  })
}

/** Writes an ONNX graph node by node. Names are made unique by a counter, so equal calls give equal bytes. */
export class GraphBuilder {
  readonly name: string
  readonly nodes: NodeProto[] = []
  readonly inputs: ValueInfoProto[] = []
  readonly outputs: ValueInfoProto[] = []
  readonly initializers: TensorProto[] = []
  readonly #prefix: string
  #counter = 0

  /** `prefix` goes before every fresh name; give each subgraph its own. */
  constructor(name: string, prefix = '') {
    this.name = name
    this.#prefix = prefix
  }

  fresh(stem: string): string {
    return `${this.#prefix}${stem}_${this.#counter++}`
  }

  input(name: string, type: ElementType, dims: readonly (number | string)[]): string {
    this.inputs.push(valueInfo(name, type, dims))
    return name
  }

  output(name: string, type: ElementType, dims: readonly (number | string)[]): void {
    this.outputs.push(valueInfo(name, type, dims))
  }

  initializer(name: string, type: ElementType, dims: readonly number[], values: TensorValues): string {
    this.initializers.push(tensor(name, type, dims, values))
    return name
  }

  /** A scalar or vector float32 initializer with a fresh name. */
  floats(values: number | readonly number[], dims?: readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values
    return this.initializer(
      this.fresh('const'),
      'float32',
      dims ?? (typeof values === 'number' ? [] : [list.length]),
      Float32Array.from(list),
    )
  }

  /** A scalar or vector int64 initializer with a fresh name. */
  ints(values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values
    return this.initializer(
      this.fresh('const'),
      'int64',
      typeof values === 'number' ? [] : [list.length],
      BigInt64Array.from(list, BigInt),
    )
  }

  /** Adds a node with one output and returns its name. */
  add(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    options: NodeOptions = {},
  ): string {
    return this.addMany(op, inputs, attributes, options)[0]!
  }

  /** Adds a node and returns the names of all its outputs. */
  addMany(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    options: NodeOptions = {},
  ): string[] {
    const wanted = options.outputs ?? 1
    const outputs =
      typeof wanted === 'number' ? Array.from({ length: wanted }, () => this.fresh(op.toLowerCase())) : [...wanted]
    const { domain = '', name = '' } = options
    this.nodes.push(Object.assign(node(op, inputs, outputs, attributes), { domain, name }))
    return outputs
  }

  graph(): GraphProto {
    return create(GraphProtoSchema, {
      name: this.name,
      node: this.nodes,
      input: this.inputs,
      output: this.outputs,
      initializer: this.initializers,
    })
  }

  /** The finished model. `opsets` adds domains such as `{ 'com.microsoft': 1, 'ai.onnx.ml': 3 }`. */
  model(opset = 17, opsets: Readonly<Record<string, number>> = {}): ModelProto {
    return create(ModelProtoSchema, {
      irVersion: 8n,
      producerName: 'fc7',
      graph: this.graph(),
      opsetImport: [
        { domain: '', version: BigInt(opset) },
        ...Object.entries(opsets).map(([domain, version]) => ({ domain, version: BigInt(version) })),
      ],
    })
  }
}

/** The model's bytes. */
export function encodeModel(model: ModelProto): Uint8Array {
  return toBinary(ModelProtoSchema, model)
}
