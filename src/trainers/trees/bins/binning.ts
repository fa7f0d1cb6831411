import { type BinArena, binArenaFor, maxCodes } from '../wasm/bins/bin-arena.js'
import { type ForestStorage, forestCodes } from '../wasm/forest/forest-arena.js'

/** Rows that fit beside 32 bits of a value in a sortable float64. */
export const maxTreeRows = 2 ** 20

/** A float32's bits in an order that whole numbers share, before a number below {@link maxTreeRows}. */
export const sortKey = (bits: number, index: number): number =>
  ((bits & 0x80000000 ? ~bits : bits | 0x80000000) >>> 0) * maxTreeRows + index

/** Space for sorting a column. */
class Sorter {
  readonly #keys: Float64Array
  readonly #value = new Float32Array(1)
  readonly #bits = new Uint32Array(this.#value.buffer)

  readonly #maxBins: number

  constructor(rows: number, maxBins: number) {
    this.#maxBins = maxBins

    this.#keys = new Float64Array(rows)
  }

  /** Bins of column j, written to `codes` from `start` on; the first one is `firstBin`. */
  run(
    { values, places, rows, lengths }: BinArena,
    j: number,
    codes: Uint8Array | Uint16Array,
    start: number,
    firstBin: number,
  ): void {
    const value = this.#value
    const bits = this.#bits
    const m = lengths[j]!
    const keys = this.#keys.subarray(0, m)
    for (let k = 0; k < m; k++) {
      value[0] = values[j * rows + k]!
      keys[k] = sortKey(bits[0]!, places[j * rows + k]!)
    }
    codeSorted(keys.sort(), codes, start, firstBin, this.#maxBins)
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

/** Writes codes of column j of the arena, which is that column of the matrix; the first one is `firstBin`. */
export type BinColumn = (arena: BinArena, j: number, column: number, firstBin: number) => void

/** Reads columns in blocks and bins them; `take` is called after each block. */
export function eachBlock(
  { x, rows, cols, from, to }: ColumnRange,
  bin: BinColumn,
  take: (first: number, width: number, arena: BinArena) => void = () => {},
): void {
  const arena = binArenaFor(rows)
  for (let first = from; first < to; first += arena.width) {
    const width = Math.min(arena.width, to - first)
    arena.read(x, cols, first, width)
    for (let j = 0; j < width; j++) bin(arena, j, first + j, arena.lengths[j]! < rows ? 1 : 0)
    take(first, width, arena)
  }
}

/**
 * Bins of forests, written to the arena. With at most `maxBins` distinct values each has a bin of its own, and trees
 * are those of an exact search. Otherwise bins hold about equally many rows; zeros of a column without negative values
 * have bin 0 to themselves and do not count: quantiles over all rows would leave a third of the bins to the values that
 * matter.
 */
function forestBins(rows: number, maxBins: number): BinColumn {
  const sorter = new Sorter(rows, maxBins)
  return (arena, j, _, firstBin) => {
    if (!arena.quantiles(j, firstBin, maxBins)) sorter.run(arena, j, arena.codes, j * rows, firstBin)
  }
}

/** Bins as single trees read them, column by column: `codes[f * rows + i]`. Larger values, larger bins. */
export function binColumns(range: ColumnRange, codes: Uint16Array, maxBins: number): void {
  const { rows } = range
  const sorter = new Sorter(rows, maxBins)
  eachBlock(range, (arena, j, column, firstBin) => sorter.run(arena, j, codes, column * rows, firstBin))
}

/** Bins as forests read them; at most {@link maxCodes}. */
export function binForest(range: ColumnRange, storage: ForestStorage, maxBins: number): void {
  const { rows } = range
  const codes = forestCodes(storage)
  eachBlock(range, forestBins(rows, maxBins), (first, width, arena) => {
    codes.columns.set(arena.codes.subarray(0, width * rows), first * rows)
    for (let j = 0; j < width; j++) codes.edges.set(arena.bounds(j), 2 * (first + j) * maxCodes)
    arena.turn(width, codes.rows, storage.rowBytes, first)
  })
}
