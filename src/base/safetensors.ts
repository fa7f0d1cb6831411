import { open } from 'node:fs/promises'
import { z } from 'zod'
import { Fc7Error } from './errors.js'

export type TensorValues =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int32Array
  | BigInt64Array

/** A named tensor of a saved model. */
export interface NamedTensor {
  readonly dims: readonly number[]
  readonly values: TensorValues
}

const kinds = {
  F32: { bytes: 4, make: (b: ArrayBuffer) => new Float32Array(b) },
  F64: { bytes: 8, make: (b: ArrayBuffer) => new Float64Array(b) },
  I64: { bytes: 8, make: (b: ArrayBuffer) => new BigInt64Array(b) },
  I32: { bytes: 4, make: (b: ArrayBuffer) => new Int32Array(b) },
  U16: { bytes: 2, make: (b: ArrayBuffer) => new Uint16Array(b) },
  I8: { bytes: 1, make: (b: ArrayBuffer) => new Int8Array(b) },
  U8: { bytes: 1, make: (b: ArrayBuffer) => new Uint8Array(b) },
} as const
type Kind = keyof typeof kinds

const maxHeaderBytes = 16 << 20
const size = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const entrySchema = z.object({
  dtype: z.enum(Object.keys(kinds) as [Kind, ...Kind[]]),
  shape: z.array(size).max(8),
  data_offsets: z.tuple([size, size]),
})

function kindOf(values: NamedTensor['values']): Kind {
  if (values instanceof Float32Array) return 'F32'
  if (values instanceof Float64Array) return 'F64'
  if (values instanceof BigInt64Array) return 'I64'
  if (values instanceof Int32Array) return 'I32'
  if (values instanceof Uint16Array) return 'U16'
  return values instanceof Int8Array ? 'I8' : 'U8'
}

/**
 * The parts of a safetensors file, to be written one after the other. Tensors keep their order; data is 8-byte aligned.
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, NamedTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array[] {
  // Wide elements first, so that every tensor stays aligned without gaps, which the format forbids.
  const ordered = [...tensors].sort((a, b) => b[1].values.BYTES_PER_ELEMENT - a[1].values.BYTES_PER_ELEMENT)
  const header: [string, unknown][] = [['__metadata__', metadata]]
  let offset = 0
  for (const [name, { dims, values }] of ordered) {
    const count = dims.reduce((product, n) => product * n, 1)
    if (count !== values.length) throw new RangeError(`tensor ${name}: ${values.length} values for [${dims.join(',')}]`)
    header.push([name, { dtype: kindOf(values), shape: dims, data_offsets: [offset, offset + values.byteLength] }])
    offset += values.byteLength
  }
  let json = `{${header.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(',')}}`
  while (Buffer.byteLength(json) % 8 !== 0) json += ' '
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(json)))
  return [
    length,
    Buffer.from(json),
    ...ordered.map(([, { values }]) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
  ]
}

const broken = (path: string, why: string): Fc7Error =>
  new Fc7Error('SAFETENSORS_BROKEN', `${path} is not a whole safetensors file: ${why}.`, {
    hint: 'Copy it again, or train again.',
  })

/**
 * Reads a safetensors file. The header and every offset are checked against the real size before anything is allocated.
 *
 * @throws Fc7Error SAFETENSORS_BROKEN
 */
export async function readSafetensors(path: string): Promise<Map<string, NamedTensor>> {
  const file = await open(path, 'r')
  try {
    const total = (await file.stat()).size
    const prefix = Buffer.alloc(8)
    if ((await file.read(prefix, 0, 8, 0)).bytesRead < 8) throw broken(path, 'it is too short')
    const headerBytes = Number(prefix.readBigUInt64LE())
    if (headerBytes > maxHeaderBytes || 8 + headerBytes > total)
      throw broken(path, `its header claims ${headerBytes} bytes`)
    const text = Buffer.alloc(headerBytes)
    await file.read(text, 0, headerBytes, 8)
    let parsed: unknown
    try {
      parsed = JSON.parse(text.toString('utf8'))
    } catch {
      throw broken(path, 'its header is not JSON')
    }
    if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed))
      throw broken(path, 'its header is no object')
    const body = total - 8 - headerBytes
    const result = new Map<string, NamedTensor>()
    let end = 0
    const entries = Object.entries(parsed)
      .filter(([name]) => name !== '__metadata__')
      .map(([name, raw]) => {
        const entry = entrySchema.safeParse(raw)
        if (!entry.success) throw broken(path, `the entry of ${name} is malformed`)
        return { name, ...entry.data }
      })
      .sort((a, b) => a.data_offsets[0] - b.data_offsets[0])
    for (const { name, dtype, shape, data_offsets } of entries) {
      const [from, to] = data_offsets
      const count = shape.reduce((product, n) => product * n, 1)
      if (from !== end || to > body || to - from !== count * kinds[dtype].bytes)
        throw broken(path, `the extent of ${name} does not fit`)
      end = to
      const bytes = new Uint8Array(to - from)
      if (
        bytes.length > 0 &&
        (await file.read(bytes, 0, bytes.length, 8 + headerBytes + from)).bytesRead < bytes.length
      )
        throw broken(path, `${name} is cut short`)
      result.set(name, { dims: shape, values: kinds[dtype].make(bytes.buffer) })
    }
    if (end !== body) throw broken(path, `${body - end} bytes follow its last tensor`)
    return result
  } finally {
    await file.close()
  }
}
