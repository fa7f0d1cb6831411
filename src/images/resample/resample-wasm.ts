import { type AxisTable, weightBits } from './coefficients.js'
import { assemble, type WasmFunction, wasm } from './wasm-bytes.js'

/**
 * The two passes of the resampler in WebAssembly with SIMD. Exactly the sums of the JavaScript passes in resample.ts,
 * four (horizontal) or sixteen (vertical) bytes at a time; the test compares the two, bench/images measures them.
 */

const half = 1 << (weightBits - 1)

/** A pixel's four bytes (three channels and a neighbour that is overwritten next) times one weight, tap by tap. */
function horizontal(): WasmFunction {
  const [source, target, sourceStride, targetStride, rows, columns, table, weightsAt, weightStride] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8,
  ] as const
  const [column, entry, weights, out, pixel, taps, weight] = [9, 10, 11, 12, 13, 14, 15] as const
  const sum = 16
  return {
    name: 'horizontal',
    parameters: 9,
    i32Locals: 7,
    v128Locals: 1,
    body: [
      wasm.repeat(
        rows,
        [...wasm.get(columns), ...wasm.set(column), ...wasm.get(table), ...wasm.set(entry)],
        [...wasm.get(weightsAt), ...wasm.set(weights), ...wasm.get(target), ...wasm.set(out)],
        wasm.repeat(
          column,
          [...wasm.get(source), ...wasm.get(entry), ...wasm.load(), ...wasm.add, ...wasm.set(pixel)],
          [...wasm.get(entry), ...wasm.load(4), ...wasm.set(taps)],
          [...wasm.get(weights), ...wasm.set(weight)],
          [...wasm.const(half), ...wasm.i32x4Splat, ...wasm.set(sum)],
          wasm.repeat(
            taps,
            [...wasm.get(pixel), ...wasm.load32Zero(), ...wasm.i16x8FromLowBytes, ...wasm.i32x4FromLowWords],
            [...wasm.get(weight), ...wasm.load32Splat(), ...wasm.i32x4Mul],
            [...wasm.get(sum), ...wasm.i32x4Add, ...wasm.set(sum)],
            wasm.step(pixel, 3),
            wasm.step(weight, 4),
          ),
          [...wasm.get(out), ...wasm.get(sum), ...wasm.const(weightBits), ...wasm.i32x4ShiftRightSigned],
          [...wasm.get(sum), ...wasm.i16x8NarrowSigned, ...wasm.get(sum), ...wasm.i8x16NarrowUnsigned],
          wasm.store32Lane0(),
          wasm.step(out, 3),
          wasm.step(entry, 8),
          wasm.stepBy(weights, weightStride),
        ),
        wasm.stepBy(source, sourceStride),
        wasm.stepBy(target, targetStride),
      ),
    ],
  }
}

/** Sixteen neighbouring bytes of a row times one weight, tap by tap down the rows. */
function vertical(): WasmFunction {
  const [source, target, stride, rows, table, weightsAt, weightStride] = [0, 1, 2, 3, 4, 5, 6] as const
  const [at, column, pixel, taps, weight] = [7, 8, 9, 10, 11] as const
  const [bytes, factor, a, b, c, d] = [12, 13, 14, 15, 16, 17] as const
  const clear = (sum: number) => [...wasm.const(half), ...wasm.i32x4Splat, ...wasm.set(sum)]
  const shifted = (sum: number) => [...wasm.get(sum), ...wasm.const(weightBits), ...wasm.i32x4ShiftRightSigned]
  const accumulate = (sum: number, words: readonly number[], lanes: readonly number[]) => [
    ...[...wasm.get(bytes), ...words, ...lanes, ...wasm.get(factor), ...wasm.i32x4Mul],
    ...[...wasm.get(sum), ...wasm.i32x4Add, ...wasm.set(sum)],
  ]
  return {
    name: 'vertical',
    parameters: 7,
    i32Locals: 5,
    v128Locals: 6,
    body: [
      wasm.repeat(
        rows,
        [...wasm.get(table), ...wasm.load(), ...wasm.get(source), ...wasm.add, ...wasm.set(at)],
        [...wasm.const(0), ...wasm.set(column)],
        wasm.repeatWhile(
          [...wasm.get(column), ...wasm.get(stride), ...wasm.ltSigned],
          [...wasm.get(at), ...wasm.get(column), ...wasm.add, ...wasm.set(pixel)],
          [...wasm.get(table), ...wasm.load(4), ...wasm.set(taps)],
          [...wasm.get(weightsAt), ...wasm.set(weight)],
          [...clear(a), ...clear(b), ...clear(c), ...clear(d)],
          wasm.repeat(
            taps,
            [...wasm.get(pixel), ...wasm.load16Bytes(), ...wasm.set(bytes)],
            [...wasm.get(weight), ...wasm.load32Splat(), ...wasm.set(factor)],
            accumulate(a, wasm.i16x8FromLowBytes, wasm.i32x4FromLowWords),
            accumulate(b, wasm.i16x8FromLowBytes, wasm.i32x4FromHighWords),
            accumulate(c, wasm.i16x8FromHighBytes, wasm.i32x4FromLowWords),
            accumulate(d, wasm.i16x8FromHighBytes, wasm.i32x4FromHighWords),
            wasm.stepBy(pixel, stride),
            wasm.step(weight, 4),
          ),
          [...wasm.get(target), ...wasm.get(column), ...wasm.add],
          [...shifted(a), ...shifted(b), ...wasm.i16x8NarrowSigned],
          [...shifted(c), ...shifted(d), ...wasm.i16x8NarrowSigned, ...wasm.i8x16NarrowUnsigned],
          wasm.store16Bytes(),
          wasm.step(column, 16),
        ),
        wasm.stepBy(target, stride),
        wasm.step(table, 8),
        wasm.stepBy(weightsAt, weightStride),
      ),
    ],
  }
}

interface Passes {
  readonly memory: WebAssembly.Memory
  horizontal(...numbers: number[]): void
  vertical(...numbers: number[]): void
}

let passes: Passes | null | undefined

/** Compiled once a thread; null where the machine has no WebAssembly SIMD. */
function loadPasses(): Passes | null {
  if (passes !== undefined) return passes
  try {
    const module = new WebAssembly.Module(assemble([horizontal(), vertical()]))
    passes = new WebAssembly.Instance(module).exports as Passes
  } catch {
    passes = null
  }
  return passes
}

/**
 * Source rows are copied in by strips of about this size; the rest of the memory holds the narrowed rows and the
 * result.
 */
const stripBytes = 4 << 20
/** Memory never shrinks again, so that larger jobs are left to JavaScript. */
const maxMemoryBytes = 96 << 20

/**
 * Writes the table where the passes read it: (byte offset, count) pairs, then the weights. Returns the weights'
 * address.
 */
function writeTable(memory: WebAssembly.Memory, at: number, table: AxisTable, unitBytes: number): number {
  const length = table.starts.length
  const pairs = new Int32Array(memory.buffer, at, length * 2)
  for (let i = 0; i < length; i++) {
    pairs[2 * i] = table.starts[i]! * unitBytes
    pairs[2 * i + 1] = table.counts[i]!
  }
  new Int32Array(memory.buffer, at + length * 8, table.weights.length).set(table.weights)
  return at + length * 8
}

const tableBytes = (table: AxisTable): number => table.starts.length * 8 + table.weights.length * 4
const aligned = (bytes: number): number => (bytes + 31) & ~15

/**
 * Resamples `source` (`uint8 [rows, width, 3]`) by two tables into `out` (`uint8 [vertical outputs, horizontal outputs,
 * 3]`). Returns false, with nothing written, where WebAssembly is missing or the job too large for it.
 */
export function resampleWasm(
  source: Uint8Array,
  sourceWidth: number,
  across: AxisTable,
  down: AxisTable,
  out: Uint8Array,
): boolean {
  const loaded = loadPasses()
  if (!loaded) return false
  const sourceStride = sourceWidth * 3
  const stride = across.starts.length * 3
  const middleRows = down.end - down.first
  const stripRows = Math.min(middleRows, Math.max(1, Math.floor(stripBytes / sourceStride)))

  const acrossAt = 0
  const downAt = aligned(tableBytes(across))
  const stripAt = downAt + aligned(tableBytes(down))
  const middleAt = stripAt + aligned(stripRows * sourceStride)
  const outAt = middleAt + aligned(middleRows * stride)
  const total = outAt + aligned(out.length)
  if (total > maxMemoryBytes) return false
  const { memory } = loaded
  if (memory.buffer.byteLength < total) memory.grow(Math.ceil((total - memory.buffer.byteLength) / 65536))

  const acrossWeights = writeTable(memory, acrossAt, across, 3)
  const downWeights = writeTable(memory, downAt, down, stride)
  const bytes = new Uint8Array(memory.buffer)
  for (let row = 0; row < middleRows; row += stripRows) {
    const rows = Math.min(stripRows, middleRows - row)
    const from = (down.first + row) * sourceStride
    bytes.set(source.subarray(from, from + rows * sourceStride), stripAt)
    loaded.horizontal(
      stripAt,
      middleAt + row * stride,
      sourceStride,
      stride,
      rows,
      across.starts.length,
      acrossAt,
      acrossWeights,
      across.taps * 4,
    )
  }
  // Row 0 of the narrowed rows is source row down.first.
  loaded.vertical(middleAt - down.first * stride, outAt, stride, down.starts.length, downAt, downWeights, down.taps * 4)
  out.set(bytes.subarray(outAt, outAt + out.length))
  return true
}
