import { create } from '@bufbuild/protobuf'
import { Fc7Error } from '../base/errors.js'
import { GraphBuilder } from './build.js'
import { type ModelProto, TensorProto_DataType, TensorProtoSchema } from './generated/onnx_pb.js'

/** The operator set that classifiers are written in unless they must match a network's. */
export const defaultOpset = 17
/** `ai.onnx.ml` 3 is what every ONNX Runtime since 1.11 reads. */
const mlVersion = 3
const utf8 = new TextEncoder()

const codes = { float32: 1, int32: 6, int64: 7, bool: 9, float64: 11 } as const

/**
 * A graph under construction that knows its operator set, so that the same trainer can be written into a file of its
 * own and on top of a network of another operator set. Operators whose form changed between operator sets have a method
 * here; use others only in a form that operator sets 9 to 21 share (Softmax and Flatten with an explicit axis, no Clip,
 * Squeeze …).
 */
export class OnnxWriter extends GraphBuilder {
  readonly opset: number
  #usesMl = false

  constructor(name: string, opset: number = defaultOpset, prefix = '') {
    super(name, prefix)
    this.opset = opset
    if (opset < 9) {
      throw new Fc7Error(
        'ONNX_OPSET',
        `A classifier cannot be written in operator set ${opset}; it needs 9 or later.`,
        {
          hint: 'Convert the network with the ONNX version converter.',
        },
      )
    }
  }

  cast(x: string, to: keyof typeof codes): string {
    return this.add('Cast', [x], { to: codes[to] })
  }

  /** A float64 initializer with a fresh name; a number is a scalar. */
  doubles(values: number | ArrayLike<number>, dims?: readonly number[]): string {
    const list = typeof values === 'number' ? Float64Array.of(values) : Float64Array.from(values)
    return this.initializer(
      this.fresh('const'),
      'float64',
      dims ?? (typeof values === 'number' ? [] : [list.length]),
      list,
    )
  }

  /** A float32 initializer over the very memory of `values`. */
  weights(stem: string, dims: readonly number[], values: Float32Array): string {
    const own = values.buffer instanceof ArrayBuffer ? values : Float32Array.from(values)
    return this.initializer(this.fresh(stem), 'float32', dims, own)
  }

  /** A vector of texts as an initializer. */
  strings(values: readonly string[]): string {
    const name = this.fresh('text')
    this.initializers.push(
      create(TensorProtoSchema, {
        name,
        dims: [BigInt(values.length)],
        dataType: TensorProto_DataType.STRING,
        stringData: values.map((value) => utf8.encode(value)),
      }),
    )
    return name
  }

  /** Sum over one axis, which stays with size 1. */
  sum(x: string, axis: number): string {
    if (this.opset >= 13) return this.add('ReduceSum', [x, this.ints([axis])], { keepdims: 1 })
    return this.add('ReduceSum', [x], { axes: [axis], keepdims: 1 })
  }

  /** The `k` smallest values of every row, ascending, and their columns; of equal ones the first column comes first. */
  smallest(x: string, k: number): [values: string, columns: string] {
    // Before operator set 11 TopK knows only the largest.
    const from = this.opset >= 11 ? x : this.add('Neg', [x])
    const direction = this.opset >= 11 ? { largest: 0, sorted: 1 } : {}
    const [values, columns] = (
      this.opset >= 10
        ? this.addMany('TopK', [from, this.ints([k])], { axis: 1, ...direction }, { outputs: 2 })
        : this.addMany('TopK', [from], { axis: 1, k }, { outputs: 2 })
    ) as [string, string]
    return [this.opset >= 11 ? values : this.add('Neg', [values]), columns]
  }

  /** The same rows and columns in another shape; 0 copies a dimension. */
  reshape(x: string, dims: readonly number[]): string {
    return this.add('Reshape', [x, this.ints(dims)])
  }

  /** An operator of `ai.onnx.ml`. */
  ml(op: string, inputs: readonly string[], attributes: Parameters<GraphBuilder['add']>[2]): string {
    this.#usesMl = true
    return this.add(op, inputs, attributes, { domain: 'ai.onnx.ml' })
  }

  /** The same with several outputs. */
  mlMany(
    op: string,
    inputs: readonly string[],
    attributes: Parameters<GraphBuilder['add']>[2],
    outputs: number,
  ): string[] {
    this.#usesMl = true
    return this.addMany(op, inputs, attributes, { domain: 'ai.onnx.ml', outputs })
  }

  finish(): ModelProto {
    return this.model(this.opset, this.#usesMl ? { 'ai.onnx.ml': mlVersion } : {})
  }
}
