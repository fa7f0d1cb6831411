import {
  Binary,
  type Data,
  Dictionary,
  Field,
  FixedSizeList,
  Float16,
  Float32,
  Int32,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchReader,
  Schema,
  Struct,
  Table,
  tableFromIPC,
  Uint16,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow'

export type Precision = 'float32' | 'float16'

/** One column of text in which null is allowed. */
const utf8 = (values: readonly (string | null)[]): Data =>
  vectorFromArray(values as (string | null)[], new Utf8()).data[0]!

/** Labels as a dictionary of fixed id: Arrow's own counter would make equal tables differ in their bytes. */
function dictionary(values: readonly (string | null)[]): Data {
  const names = [...new Set(values.filter((value) => value !== null))]
  const place = new Map(names.map((name, i) => [name, i]))
  const type = new Dictionary(new Utf8(), new Int32(), 0)
  const nulls = values.filter((value) => value === null).length
  const bitmap = new Uint8Array(Math.ceil(values.length / 64) * 8)
  values.forEach((value, i) => {
    if (value !== null) bitmap[i >> 3] = bitmap[i >> 3]! | (1 << (i & 7))
  })
  return makeData({
    type,
    length: values.length,
    nullCount: nulls,
    nullBitmap: nulls > 0 ? bitmap : undefined,
    data: Int32Array.from(values, (value) => (value === null ? 0 : place.get(value)!)),
    dictionary: vectorFromArray(names, new Utf8()),
  })
}

/** Round-to-nearest-even conversion of float32 values to IEEE half bits. */
export function toHalf(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const out = new Uint16Array(values.length)
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!
    const sign = (x >>> 16) & 0x8000
    const exponent = (x >>> 23) & 0xff
    let mantissa = x & 0x7fffff
    if (exponent === 0xff) {
      out[i] = sign | 0x7c00 | (mantissa ? 0x200 : 0)
      continue
    }
    const e = exponent - 112
    if (e >= 31) {
      out[i] = sign | 0x7c00
      continue
    }
    if (e <= 0) {
      if (e < -10) {
        out[i] = sign
        continue
      }
      mantissa |= 0x800000
      const shift = 14 - e
      const half = mantissa >>> shift
      const rest = mantissa & ((1 << shift) - 1)
      const middle = 1 << (shift - 1)
      out[i] = sign | (half + (rest > middle || (rest === middle && half & 1) ? 1 : 0))
      continue
    }
    const half = (e << 10) | (mantissa >>> 13)
    const rest = mantissa & 0x1fff
    out[i] = sign | (half + (rest > 0x1000 || (rest === 0x1000 && half & 1) ? 1 : 0))
  }
  return out
}

/** IEEE half bits to float32. */
export function fromHalf(halves: Uint16Array): Float32Array {
  const out = new Float32Array(halves.length)
  for (let i = 0; i < halves.length; i++) {
    const h = halves[i]!
    const sign = h & 0x8000 ? -1 : 1
    const exponent = (h >>> 10) & 31
    const mantissa = h & 0x3ff
    if (exponent === 31) out[i] = mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY
    else if (exponent === 0) out[i] = sign * mantissa * 2 ** -24
    else out[i] = sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
  }
  return out
}

function fixedSizeList(values: Float32Array, rows: number, dim: number, precision: Precision): Data {
  const half = precision === 'float16'
  const item = half ? new Float16() : new Float32()
  const child = half
    ? makeData({ type: item as Float16, length: rows * dim, nullCount: 0, data: toHalf(values) })
    : makeData({ type: item as Float32, length: rows * dim, nullCount: 0, data: values })
  return makeData({
    type: new FixedSizeList(dim, new Field('item', item, false)),
    length: rows,
    nullCount: 0,
    child: child as never,
  })
}

/** The rows of one shard. All arrays have one entry a row. */
export interface ShardRows {
  readonly ids: readonly string[]
  readonly paths: readonly string[]
  readonly labels: readonly (string | null)[]
  readonly splits: readonly (string | null)[]
  readonly groups: readonly (string | null)[]
  readonly views: Uint16Array
  /** sha256 of each image's bytes. */
  readonly hashes: readonly string[]
  /** `[rows, dim]` by layer name. */
  readonly layers: readonly { readonly name: string; readonly dim: number; readonly values: Float32Array }[]
}

function encode(fields: Field[], children: Data[], rows: number, metadata: Map<string, string>): Uint8Array {
  const schema = new Schema(fields, metadata)
  const batch = new RecordBatch(schema, makeData({ type: new Struct(fields), length: rows, nullCount: 0, children }))
  return RecordBatchFileWriter.writeAll(new Table(schema, [batch])).toUint8Array(true)
}

const column = (name: string, data: Data, nullable = false): [Field, Data] => [
  new Field(name, data.type, nullable),
  data,
]

/** A shard as an Arrow IPC file. Equal rows give equal bytes. */
export function encodeShard(rows: ShardRows, planHash: string, precision: Precision): Uint8Array {
  const n = rows.ids.length
  const columns = [
    column('id', utf8(rows.ids)),
    column('path', utf8(rows.paths)),
    column('label', dictionary(rows.labels), true),
    column('split', utf8(rows.splits), true),
    column('group', utf8(rows.groups), true),
    column('view', makeData({ type: new Uint16(), length: n, nullCount: 0, data: rows.views })),
    column('sha256', utf8(rows.hashes)),
    ...rows.layers.map((layer) => column(`layer:${layer.name}`, fixedSizeList(layer.values, n, layer.dim, precision))),
  ]
  return encode(
    columns.map(([field]) => field),
    columns.map(([, data]) => data),
    n,
    new Map([['fc7.plan', planHash]]),
  )
}

export interface ThumbRow {
  readonly id: string
  readonly webp: Uint8Array
  readonly dHash: string
}

/** Thumbnails as an Arrow IPC file: id, thumb (WebP bytes), dhash (16 hex digits). */
export function encodeThumbs(rows: readonly ThumbRow[], planHash: string): Uint8Array {
  const columns = [
    column('id', utf8(rows.map((row) => row.id))),
    column(
      'thumb',
      vectorFromArray(
        rows.map((row) => row.webp),
        new Binary(),
      ).data[0]!,
    ),
    column('dhash', utf8(rows.map((row) => row.dHash))),
  ]
  return encode(
    columns.map(([field]) => field),
    columns.map(([, data]) => data),
    rows.length,
    new Map([['fc7.plan', planHash]]),
  )
}

/** Reads an Arrow IPC file; throws when its footer or its batches are broken. */
export function decodeArrow(bytes: Uint8Array): Table {
  const reader = RecordBatchReader.from(bytes)
  if (!reader.isFile()) throw new Error('it is not an Arrow file with a footer')
  return tableFromIPC(bytes)
}

/** The values of a layer's column `[rows, dim]`: a view of the file's bytes for float32, a conversion for float16. */
export function layerValues(
  table: Table,
  name: string,
): { readonly dim: number; readonly values: Float32Array } | undefined {
  const vector = table.getChild(`layer:${name}`) as Vector<FixedSizeList> | null
  if (!vector) return undefined
  const type = vector.type as FixedSizeList
  const dim = type.listSize
  const parts = vector.data.map((data) => {
    const child = data.children[0]!
    const values = (child.values as Float32Array | Uint16Array).subarray(
      data.offset * dim,
      (data.offset + data.length) * dim,
    )
    return values instanceof Uint16Array ? fromHalf(values) : values
  })
  if (parts.length === 1) return { dim, values: parts[0]! }
  const values = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    values.set(part, at)
    at += part.length
  }
  return { dim, values }
}

/** A text column; null where the row has none. */
export function textValues(table: Table, name: string): (string | null)[] {
  const vector = table.getChild(name)
  return vector
    ? Array.from(vector as Iterable<string | null>, (value) => value ?? null)
    : new Array(table.numRows).fill(null)
}
