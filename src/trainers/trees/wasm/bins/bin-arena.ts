import { kernelOf, Layout } from '../memory.js'
import { type BinKernel, binModule, maxSteps } from './bin-kernel.js'

const binKernel = kernelOf<BinKernel>(binModule)

/**
 * Columns read together: several cache lines of a row, since the next ones are fetched ahead; of very many rows one,
 * for space.
 */
const blockCols = (rows: number): number => (rows <= 2 ** 14 ? 128 : rows <= 2 ** 16 ? 64 : 16)
/** Bytes of an arena: values, their rows, numbers and codes. */
export const binArenaBytes = (rows: number): number => 13 * blockCols(rows) * rows
/** Codes of a column at most. */
export const maxCodes = 256

/**
 * Some columns of a matrix and their bins, in WebAssembly's memory. Of every column it holds the values that are not
 * zero, with their rows: two thirds of an embedding after a ReLU are zeros.
 */
export class BinArena {
  /** Columns that it holds at most. */
  readonly width: number
  /** `[width, rows]`; of each column the first {@link lengths} are set. */
  readonly values: Float32Array
  readonly places: Int32Array
  readonly lengths: Int32Array
  /** `[width, rows]`. */
  readonly codes: Uint8Array
  /** `[rows, width]` of numbers, and of codes after {@link turn}. */
  readonly #numbers: Float32Array
  readonly #turned: Uint8Array
  readonly #edges: Float32Array
  readonly #kernel: BinKernel
  readonly #steps: readonly [steps: number, inStep: number, binOf: number]

  constructor(readonly rows: number) {
    const width = blockCols(rows)
    const layout = new Layout(0)
    const words = [layout.take(width * rows * 4), layout.take(width * rows * 4), layout.take(width * 4)] as const
    const codes = layout.take(width * rows)
    const numbers = layout.take(width * rows * 4)
    const edges = layout.take(maxCodes * 8)
    this.#steps = [layout.take(rows * 2), layout.take(maxSteps * 4), layout.take(maxSteps * 4)]
    const memory = layout.memory()
    const { buffer } = memory
    this.width = width
    this.values = new Float32Array(buffer, words[0], width * rows)
    this.places = new Int32Array(buffer, words[1], width * rows)
    this.lengths = new Int32Array(buffer, words[2], width)
    this.codes = new Uint8Array(buffer, codes, width * rows)
    this.#numbers = new Float32Array(buffer, numbers, width * rows)
    // The numbers are of no use any more once there are codes to be turned.
    this.#turned = new Uint8Array(buffer, numbers, width * rows)
    this.#edges = new Float32Array(buffer, edges, maxCodes * 2)
    this.#kernel = binKernel(memory)
  }

  /** Reads `width` columns from `first` on; their codes are 0. */
  read(x: Float32Array, cols: number, first: number, width: number): void {
    const numbers = this.#numbers
    const kernel = this.#kernel
    const { rows, values, places, lengths } = this
    for (let i = 0; i < rows; i++) numbers.set(x.subarray(i * cols + first, i * cols + first + width), i * this.width)
    kernel.read(numbers.byteOffset, this.width, rows, width, values.byteOffset, places.byteOffset, lengths.byteOffset)
    this.codes.fill(0, 0, width * rows)
    for (let j = 0; j < width; j++) if (this.#negative(j)) this.#readZeros(j)
  }

  #negative(j: number): boolean {
    return this.#kernel.anyNegative(this.values.byteOffset + 4 * j * this.rows, this.lengths[j]!) === 1
  }

  /** Takes column j with its zeros. */
  #readZeros(j: number): void {
    const numbers = this.#numbers
    const { rows, values, places, width } = this
    for (let i = 0; i < rows; i++) {
      values[j * rows + i] = numbers[i * width + j]! + 0 // −0 becomes 0
      places[j * rows + i] = i
    }
    this.lengths[j] = rows
  }

  /**
   * Writes codes of column j from `firstBin` on; false, with nothing written, where only sorting finds its quantiles.
   */
  quantiles(j: number, firstBin: number, maxBins: number): boolean {
    const kernel = this.#kernel
    const { rows, values, places, codes, lengths } = this
    const at = j * rows
    const addresses = [values.byteOffset + 4 * at, places.byteOffset + 4 * at] as const
    return kernel.quantiles(...addresses, lengths[j]!, firstBin, maxBins, codes.byteOffset + at, ...this.#steps) === 1
  }

  /** `[maxCodes, 2]` least and largest value of every code in column j; infinite where there is none. */
  bounds(j: number): Float32Array {
    const edges = this.#edges
    const kernel = this.#kernel
    const { rows, values, places, codes, lengths } = this
    for (let at = 0; at < edges.length; at += 2) {
      edges[at] = Number.POSITIVE_INFINITY
      edges[at + 1] = Number.NEGATIVE_INFINITY
    }
    // Zeros are not among the values.
    if (lengths[j]! < rows) edges.fill(0, 0, 2)
    const at = j * rows
    kernel.bounds(
      values.byteOffset + 4 * at,
      places.byteOffset + 4 * at,
      lengths[j]!,
      codes.byteOffset + at,
      edges.byteOffset,
    )
    return edges
  }

  /** Writes the codes of `width` columns to rows that lie `stride` apart, from the place `first` on. */
  turn(width: number, to: Uint8Array, stride: number, first: number): void {
    const turned = this.#turned
    const kernel = this.#kernel
    const { rows, codes } = this
    kernel.turn(codes.byteOffset, rows, width, turned.byteOffset, this.width)
    for (let i = 0; i < rows; i++) to.set(turned.subarray(i * this.width, i * this.width + width), i * stride + first)
  }
}

let last: WeakRef<BinArena> | undefined

/** This thread's arena for so many rows; it is released some time after the last use. */
export function binArenaFor(rows: number): BinArena {
  const known = last?.deref()
  if (known?.rows === rows) return known
  const arena = new BinArena(rows)
  last = new WeakRef(arena)
  return arena
}
