import { lastOf } from './byte-sweep.js'
import type { ForestBins } from './search.js'
import { type CutRoom, cutCodes, maxCodes } from './wasm/cut-arena.js'

/** Rows that fit beside 32 bits of a value in a sortable float64. */
export const maxTreeRows = 2 ** 20

/** Columns read together: four cache lines of a row, since the next ones are fetched ahead; of very many rows one, for room. */
const blockCols = (rows: number): number => (rows <= 2 ** 16 ? 64 : 16)
/** Most steps that the range of a column is divided into to find its quantiles. */
const maxSteps = 4096

/** The values of some columns that are not zero, with their rows: two thirds of an embedding after a ReLU are zeros. */
class ColumnBlock {
  /** `[blockCols, rows]`; of each column the first {@link lengths} are set. */
  readonly values: Float32Array
  readonly places: Int32Array
  readonly lengths: Int32Array
  private readonly bits: Int32Array

  constructor(private readonly rows: number) {
    const width = blockCols(rows)
    this.lengths = new Int32Array(width)
    this.values = new Float32Array(width * rows)
    this.places = new Int32Array(width * rows)
    this.bits = new Int32Array(this.values.buffer)
  }

  /** Reads `width` columns from `first` on. */
  read(x: Float32Array, cols: number, first: number, width: number): void {
    const { rows, bits, places, lengths } = this
    const words = new Int32Array(x.buffer, x.byteOffset, x.length)
    for (let j = 0; j < width; j++) lengths[j] = j * rows
    for (let i = 0; i < rows; i++) {
      const start = i * cols + first
      for (let j = 0; j < width; j++) {
        const word = words[start + j]!
        const at = lengths[j]!
        bits[at] = word
        places[at] = i
        // On by 1 unless the value is 0 or −0, without a branch that would be guessed wrong.
        lengths[j] = at + (((word & 0x7fffffff) + 0x7fffffff) >>> 31)
      }
    }
    for (let j = 0; j < width; j++) lengths[j]! -= j * rows
  }

  /** Column j with its zeros. */
  readWhole(x: Float32Array, cols: number, column: number, j: number): void {
    const { rows, values, places, lengths } = this
    for (let i = 0; i < rows; i++) {
      values[j * rows + i] = x[i * cols + column]! + 0 // −0 becomes 0
      places[j * rows + i] = i
    }
    lengths[j] = rows
  }
}

/**
 * Bins of one column. With at most `maxBins` distinct values each has a bin of its own, and trees are those of an exact search.
 * Otherwise bins hold about equally many rows; zeros of a column without negative values have bin 0 to themselves and do not count:
 * quantiles over all rows would leave a third of the bins to the values that matter.
 */
class ColumnBinner {
  private readonly keys: Float64Array
  private readonly steps: Uint16Array
  private readonly inStep = new Int32Array(maxSteps)
  private readonly binOf = new Int32Array(maxSteps)
  private readonly value = new Float32Array(1)
  private readonly bits = new Uint32Array(this.value.buffer)

  constructor(
    rows: number,
    private readonly maxBins: number,
  ) {
    this.keys = new Float64Array(rows)
    this.steps = new Uint16Array(rows)
  }

  /**
   * @param m values counted, from `from` on
   * @param codes `[rows]`, where the bins are written, from `start` on
   * @param firstBin 1 where zeros have bin 0 to themselves and are not among the values
   */
  run(
    { values, places }: ColumnBlock,
    from: number,
    m: number,
    codes: Uint8Array | Uint16Array,
    start: number,
    firstBin: number,
  ): void {
    if (!this.bySteps(values, places, from, m, codes, start, firstBin))
      this.bySorting(values, places, from, m, codes, start, firstBin)
  }

  /**
   * Quantiles from how many rows fall into equal steps of the column's range; much faster than sorting. False, with nothing written,
   * where the steps do not show that there are more distinct values than bins, or are too coarse.
   */
  private bySteps(
    values: Float32Array,
    places: Int32Array,
    from: number,
    m: number,
    codes: Uint8Array | Uint16Array,
    start: number,
    firstBin: number,
  ): boolean {
    const { maxBins, steps, inStep, binOf } = this
    if (maxBins > 256 || m + firstBin <= maxBins) return false
    let low = values[from]!
    let top = low
    for (let k = 1; k < m; k++) {
      const v = values[from + k]!
      if (v < low) low = v
      else if (v > top) top = v
    }
    if (low === top) return false
    const size = Math.min(maxSteps, 2 ** Math.ceil(Math.log2(4 * m)))
    const factor = (size - 0.5) / (top - low)
    inStep.fill(0, 0, size)
    for (let k = 0; k < m; k++) {
      const s = ((values[from + k]! - low) * factor) | 0
      steps[k] = s
      inStep[s]!++
    }
    const tooMany = Math.max(8, m / 64)
    let used = 0
    let bin = firstBin - 1
    let inBin = 0
    let wanted = 0
    let left = m
    for (let s = 0; s < size; s++) {
      const n = inStep[s]!
      if (n === 0) continue
      if (n > tooMany) return false
      used++
      if (bin < firstBin || inBin >= wanted) {
        bin++
        inBin = 0
        wanted = left / (maxBins - bin)
      }
      binOf[s] = bin
      inBin += n
      left -= n
    }
    if (used + firstBin <= maxBins) return false
    for (let k = 0; k < m; k++) codes[start + places[from + k]!] = binOf[steps[k]!]!
    return true
  }

  private bySorting(
    values: Float32Array,
    places: Int32Array,
    from: number,
    m: number,
    codes: Uint8Array | Uint16Array,
    start: number,
    firstBin: number,
  ): void {
    const { value, bits } = this
    const keys = this.keys.subarray(0, m)
    for (let k = 0; k < m; k++) {
      value[0] = values[from + k]!
      // The value's bits in an order that whole numbers share.
      const word = bits[0]!
      keys[k] = ((word & 0x80000000 ? ~word : word | 0x80000000) >>> 0) * maxTreeRows + places[from + k]!
    }
    codeSorted(keys.sort(), codes, start, firstBin, this.maxBins)
  }
}

/** Numbers the sorted keys' rows from `firstBin` on. */
function codeSorted(
  keys: Float64Array,
  codes: Uint8Array | Uint16Array,
  start: number,
  firstBin: number,
  maxBins: number,
): void {
  const m = keys.length
  let distinct = 0
  let last = -1
  for (let k = 0; k < m; k++) {
    const value = Math.floor(keys[k]! / maxTreeRows)
    if (value !== last) distinct++
    last = value
  }
  const exact = distinct + firstBin <= maxBins
  let bin = firstBin - 1
  let inBin = 0
  let wanted = 0
  last = -1
  for (let k = 0; k < m; k++) {
    const key = keys[k]!
    const value = Math.floor(key / maxTreeRows)
    if (value !== last && (exact || bin < firstBin || inBin >= wanted)) {
      bin++
      inBin = 0
      wanted = (m - k) / (maxBins - bin)
    }
    last = value
    inBin++
    codes[start + (key - value * maxTreeRows)] = bin
  }
}

/** Which columns of which matrix. */
export interface ColumnRange {
  /** `[rows, cols]`, at most {@link maxTreeRows} rows. */
  readonly x: Float32Array
  readonly rows: number
  readonly cols: number
  readonly from: number
  readonly to: number
}

/** Reads and bins columns in blocks; `take` is called after each block with what is at `codesOf`. */
function eachBlock(
  { x, rows, cols, from, to }: ColumnRange,
  maxBins: number,
  codesOf: (first: number) => { codes: Uint8Array | Uint16Array; start: number },
  take: (first: number, width: number, block: ColumnBlock) => void,
): void {
  const block = new ColumnBlock(rows)
  const binner = new ColumnBinner(rows, maxBins)
  const most = blockCols(rows)
  for (let first = from; first < to; first += most) {
    const width = Math.min(most, to - first)
    block.read(x, cols, first, width)
    const { codes, start } = codesOf(first)
    for (let j = 0; j < width; j++) {
      let negative = false
      for (let k = j * rows; k < j * rows + block.lengths[j]!; k++) if (block.values[k]! < 0) negative = true
      if (negative) block.readWhole(x, cols, first + j, j)
      const m = block.lengths[j]!
      binner.run(block, j * rows, m, codes, start + j * rows, m < rows ? 1 : 0)
    }
    take(first, width, block)
  }
}

/** Bins column by column, in arrays that were 0: `codes[f * rows + i]`. Larger values, larger bins. */
export function binColumns(range: ColumnRange, codes: Uint8Array | Uint16Array, maxBins: number): void {
  eachBlock(
    range,
    maxBins,
    (first) => ({ codes, start: first * range.rows }),
    () => {},
  )
}

/** Writes columns of codes, one after another from `start` on, to rows that lie `stride` apart, from the place `first` on. */
function rowByRow(
  { codes, start }: { readonly codes: Uint8Array; readonly start: number },
  rows: number,
  to: Uint8Array,
  stride: number,
  first: number,
  width: number,
): void {
  for (let i = 0; i < rows; i++) {
    const at = i * stride + first
    for (let j = 0; j < width; j++) to[at + j] = codes[start + j * rows + i]!
  }
}

/** Bins as forests read them, in arrays that were 0; at most 256. */
export function binForest(range: ColumnRange, { codes, lists, lengths, zeros }: ForestBins, maxBins: number): void {
  const { rows, cols } = range
  const own = new Uint8Array(blockCols(rows) * rows)
  const ends = new Int32Array(256)
  const last = lastOf(lists)
  const codesOf = () => {
    own.fill(0)
    return { codes: own, start: 0 }
  }
  eachBlock(range, maxBins, codesOf, (first, width, block) => {
    for (let j = 0; j < width; j++) {
      // Counting sort, from the largest code down.
      const { places } = block
      const base = j * rows
      const end = base + block.lengths[j]!
      ends.fill(0)
      for (let k = base; k < end; k++) ends[own[base + places[k]!]!]!++
      let sum = 0
      for (let code = 255; code > 0; code--) {
        const n = ends[code]!
        ends[code] = sum
        sum += n
      }
      ends[0] = sum
      lengths[first + j] = sum
      zeros[first + j] = end - base < rows ? 1 : 0
      const start = (first + j) * rows
      for (let k = base; k < end; k++) {
        const place = places[k]!
        lists[start + ends[own[base + place]!]!++] = place
      }
      for (let code = 255, at = 0; code > 0; code--) {
        if (ends[code]! > at) lists[start + ends[code]! - 1]! += last
        at = ends[code]!
      }
    }
    rowByRow({ codes: own, start: 0 }, rows, codes, cols, first, width)
  })
}

/** Bins as extra-trees read them, in memory that was 0; at most {@link maxCodes}. */
export function binCuts(range: ColumnRange, room: CutRoom, maxBins: number): void {
  const { rows } = range
  const codes = cutCodes(room)
  const codesOf = (first: number) => ({ codes: codes.columns, start: first * rows })
  eachBlock(range, maxBins, codesOf, (first, width, block) => {
    for (let j = 0; j < width; j++) {
      const edges = codes.edges.subarray(2 * (first + j) * maxCodes, 2 * (first + j + 1) * maxCodes)
      for (let at = 0; at < edges.length; at++) edges[at] = at & 1 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
      const start = (first + j) * rows
      for (let k = j * rows; k < j * rows + block.lengths[j]!; k++) {
        const at = 2 * codes.columns[start + block.places[k]!]!
        const value = block.values[k]!
        if (value < edges[at]!) edges[at] = value
        if (value > edges[at + 1]!) edges[at + 1] = value
      }
      if (block.lengths[j]! < rows) edges[0] = edges[1] = 0
    }
    rowByRow(codesOf(first), rows, codes.rows, room.rowBytes, first, width)
  })
}
