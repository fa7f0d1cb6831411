import { Fc7Error } from '../base/errors.js'
import type { AttributeProto, ModelProto, NodeProto, TensorProto } from './generated/onnx_pb.js'
import { TensorProto_DataType as DataType } from './generated/onnx_pb.js'

/** Bytes of one element of each fixed-size ONNX type; types packed below a byte, and strings, are not in it. */
const bytesPerElement: Partial<Record<number, number>> = {
  [DataType.FLOAT]: 4,
  [DataType.UINT8]: 1,
  [DataType.INT8]: 1,
  [DataType.UINT16]: 2,
  [DataType.INT16]: 2,
  [DataType.INT32]: 4,
  [DataType.INT64]: 8,
  [DataType.BOOL]: 1,
  [DataType.FLOAT16]: 2,
  [DataType.DOUBLE]: 8,
  [DataType.UINT32]: 4,
  [DataType.UINT64]: 8,
  [DataType.COMPLEX64]: 8,
  [DataType.COMPLEX128]: 16,
  [DataType.BFLOAT16]: 2,
}

/** The type's name as ONNX writes it (`FLOAT`, `INT64`), or `type 99`. */
export function dataTypeName(dataType: number): string {
  return DataType[dataType] ?? `type ${dataType}`
}

/** Number of elements that the tensor's dims promise. @throws Fc7Error ONNX_TENSOR for negative or absurd dims */
export function elementCount(tensor: TensorProto): number {
  let count = 1
  for (const dim of tensor.dims) {
    const size = Number(dim)
    count *= size
    if (!(size >= 0) || !Number.isSafeInteger(count)) {
      throw new Fc7Error(
        'ONNX_TENSOR',
        `The tensor ${tensor.name} has the impossible shape [${tensor.dims.join(',')}].`,
        {
          hint: 'The ONNX file is broken; get it again.',
        },
      )
    }
  }
  return count
}

/**
 * Bytes that the tensor's data takes as raw data, or undefined for types without a whole number of bytes an element.
 */
export function expectedBytes(tensor: TensorProto): number | undefined {
  const size = bytesPerElement[tensor.dataType]
  return size === undefined ? undefined : elementCount(tensor) * size
}

/** Bytes of a graph's weights, without those of subgraphs. */
export function weightBytes(model: ModelProto): number {
  return (model.graph?.initializer ?? []).reduce((sum, tensor) => sum + (expectedBytes(tensor) ?? 0), 0)
}

function aligned(bytes: Uint8Array, elementBytes: number): { buffer: ArrayBuffer; offset: number; length: number } {
  // Most weights of a real file do not begin on a multiple of four bytes: a view is possible only where they do.
  const whole = bytes.byteOffset % elementBytes === 0 ? bytes : Uint8Array.from(bytes)
  return { buffer: whole.buffer as ArrayBuffer, offset: whole.byteOffset, length: whole.byteLength / elementBytes }
}

/**
 * The values of a FLOAT, DOUBLE or FLOAT16 tensor. Where the file's bytes are aligned this is a view of them: do not
 * write into it.
 *
 * @throws Fc7Error ONNX_TENSOR for other types
 */
export function floatsOf(tensor: TensorProto): Float32Array {
  if (tensor.dataType === DataType.FLOAT) {
    if (tensor.rawData.length === 0) return Float32Array.from(tensor.floatData)
    const { buffer, offset, length } = aligned(tensor.rawData, 4)
    return new Float32Array(buffer, offset, length)
  }
  if (tensor.dataType === DataType.DOUBLE) {
    if (tensor.rawData.length === 0) return Float32Array.from(tensor.doubleData)
    const { buffer, offset, length } = aligned(tensor.rawData, 8)
    return Float32Array.from(new Float64Array(buffer, offset, length))
  }
  if (tensor.dataType === DataType.FLOAT16) {
    const bits =
      tensor.rawData.length === 0
        ? tensor.int32Data
        : (({ buffer, offset, length }) => new Uint16Array(buffer, offset, length))(aligned(tensor.rawData, 2))
    return Float32Array.from(bits, halfToFloat)
  }
  throw new Fc7Error('ONNX_TENSOR', `The tensor ${tensor.name} holds ${dataTypeName(tensor.dataType)}, not floats.`, {
    hint: 'fc7 reads float32, float64 and float16 weights here.',
  })
}

/** The float that 16 bits of IEEE 754 half precision mean. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** The values of an INT64 or INT32 tensor as numbers. @throws Fc7Error ONNX_TENSOR for other types */
export function intsOf(tensor: TensorProto): number[] {
  if (tensor.dataType === DataType.INT64) {
    if (tensor.rawData.length === 0) return tensor.int64Data.map(Number)
    const { buffer, offset, length } = aligned(tensor.rawData, 8)
    return Array.from(new BigInt64Array(buffer, offset, length), Number)
  }
  if (tensor.dataType === DataType.INT32) {
    if (tensor.rawData.length === 0) return [...tensor.int32Data]
    const { buffer, offset, length } = aligned(tensor.rawData, 4)
    return Array.from(new Int32Array(buffer, offset, length))
  }
  throw new Fc7Error('ONNX_TENSOR', `The tensor ${tensor.name} holds ${dataTypeName(tensor.dataType)}, not integers.`, {
    hint: 'The ONNX file is broken or uses a form that fc7 does not know.',
  })
}

export function attributeOf(node: NodeProto, name: string): AttributeProto | undefined {
  return node.attribute.find((attribute) => attribute.name === name)
}

export function intAttribute(node: NodeProto, name: string, fallback: number): number {
  const found = attributeOf(node, name)
  return found ? Number(found.i) : fallback
}

export function floatAttribute(node: NodeProto, name: string, fallback: number): number {
  return attributeOf(node, name)?.f ?? fallback
}

export function intsAttribute(node: NodeProto, name: string): number[] | undefined {
  return attributeOf(node, name)?.ints.map(Number)
}

export function textAttribute(node: NodeProto, name: string, fallback: string): string {
  const found = attributeOf(node, name)
  return found ? new TextDecoder().decode(found.s) : fallback
}
