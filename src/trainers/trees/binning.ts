/** Features as small whole numbers, column by column: `codes[f * rows + i]` is the bin of row i; larger values, larger bins. */
export interface Binned {
  readonly codes: Uint8Array | Uint16Array
  readonly rows: number
  readonly cols: number
}

/** Rows that fit beside 32 bits of a value in a sortable float64. */
export const maxTreeRows = 2 ** 20

/** Columns read together: one cache line of a row. */
const blockCols = 16

/**
 * Bins of the columns `from` to `to`. With at most `maxBins` distinct values each has a bin of its own, and trees are those of an
 * exact search. Otherwise bins hold about equally many rows; zeros of a column without negative values have bin 0 to themselves
 * and do not count: two thirds of an embedding after a ReLU are zeros, and quantiles over all rows would leave a third of the bins
 * to the values that matter.
 *
 * @param x `[rows, cols]`, at most {@link maxTreeRows} rows
 */
export function binColumns(x: Float32Array, to: Binned, maxBins: number, fromCol: number, toCol: number): void {
  const { rows, cols, codes } = to
  const block = Array.from({ length: blockCols }, () => new Float32Array(rows))
  const keys = new Float64Array(rows)
  const value = new Float32Array(1)
  const bits = new Uint32Array(value.buffer)
  /** The value's bits in an order that whole numbers share. */
  const ordered = (v: number): number => {
    value[0] = v
    const word = bits[0]!
    return (word & 0x80000000 ? ~word : word | 0x80000000) >>> 0
  }
  for (let first = fromCol; first < toCol; first += blockCols) {
    const width = Math.min(blockCols, toCol - first)
    for (let i = 0; i < rows; i++) {
      const at = i * cols + first
      for (let j = 0; j < width; j++) block[j]![i] = x[at + j]! + 0 // −0 becomes 0
    }
    for (let j = 0; j < width; j++) {
      const column = block[j]!
      const start = (first + j) * rows
      let negative = false
      for (let i = 0; i < rows; i++) if (column[i]! < 0) negative = true
      let m = 0
      for (let i = 0; i < rows; i++) {
        const v = column[i]!
        if (v === 0 && !negative) codes[start + i] = 0
        else keys[m++] = ordered(v) * maxTreeRows + i
      }
      const sorted = keys.subarray(0, m).sort()
      codeSorted(sorted, codes, start, m < rows ? 1 : 0, maxBins)
    }
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

/** The columns `fromCol` to `toCol` of `x` written column by column: `target[f * rows + i]`. */
export function transposeColumns(
  x: Float32Array,
  rows: number,
  cols: number,
  target: Float32Array,
  fromCol: number,
  toCol: number,
): void {
  for (let first = fromCol; first < toCol; first += blockCols) {
    const end = Math.min(first + blockCols, toCol)
    for (let i = 0; i < rows; i++) for (let f = first; f < end; f++) target[f * rows + i] = x[i * cols + f]!
  }
}
