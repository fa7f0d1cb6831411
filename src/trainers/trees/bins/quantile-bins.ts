import type { BinArena } from '../wasm/bins/bin-arena.js'
import { type ColumnRange, eachBlock, maxTreeRows, sortKey } from './binning.js'

/** Most steps that the range of a column is divided into to sort it. */
const maxSteps = 2 ** 16

/** The largest float32 that is not above a number. */
function float32Down(value: number): number {
  const out = Float32Array.of(value)
  if (out[0]! <= value) return out[0]!
  const word = new Int32Array(out.buffer)
  if (out[0] === 0) word[0] = 0x80000001 | 0
  else word[0]! += out[0]! > 0 ? -1 : 1
  return out[0]!
}

/**
 * Between which ranks of `rows` sorted values the quantiles of `maxBins` bins lie, by the very steps in float64 that
 * NumPy takes.
 */
function ranksOf(rows: number, maxBins: number): { readonly rank: Int32Array; readonly halfway: Uint8Array } {
  const rank = new Int32Array(maxBins - 1)
  const halfway = new Uint8Array(maxBins - 1)
  for (let k = 1; k < maxBins; k++) {
    const at = rows * ((k * (100 / maxBins)) / 100) - 1
    const below = Math.floor(at)
    halfway[k - 1] = at === below ? 1 : 0
    rank[k - 1] = at === below ? below : below + 1
  }
  return { rank, halfway }
}

/**
 * Bins of boosted trees, those of scikit-learn's HistGradientBoostingClassifier: with at most `maxBins` distinct values
 * each has a bin of its own, otherwise bins end at quantiles over all rows (`averaged_inverted_cdf`), zeros among them.
 * Where a column is mostly zeros most quantiles are 0, and few bins are left to the other values.
 */
class QuantileBinner {
  readonly #steps: Uint16Array
  readonly #starts = new Int32Array(maxSteps + 1)
  readonly #sorted: Float32Array
  readonly #order: Int32Array
  readonly #ends: Float64Array
  readonly #stride: number
  readonly #ranks: { readonly rank: Int32Array; readonly halfway: Uint8Array }

  readonly #rows: number
  readonly #maxBins: number
  readonly #codes: Uint8Array | Uint16Array
  readonly #cuts: Float32Array

  constructor(rows: number, maxBins: number, codes: Uint8Array | Uint16Array, cuts: Float32Array) {
    this.#rows = rows
    this.#maxBins = maxBins
    this.#codes = codes
    this.#cuts = cuts

    this.#stride = cutStride(rows, maxBins)
    this.#steps = new Uint16Array(rows)
    this.#sorted = new Float32Array(rows)
    this.#order = new Int32Array(rows)
    this.#ends = new Float64Array(maxBins)
    this.#ranks = ranksOf(rows, maxBins)
  }

  /** Bins of column j of the arena, which is that column of the matrix. */
  run(arena: BinArena, j: number, column: number): void {
    const codes = this.#codes
    const rows = this.#rows
    const from = j * rows
    const m = arena.lengths[j]!
    if (m === 0) return
    const sorted = this.#sorted
    const order = this.#order
    const ends = this.#ends
    const cuts = this.#cuts
    const stride = this.#stride
    this.#sort(arena, from, m)
    const count = this.#findEnds(rows - m, m)
    for (let k = 0; k < count; k++) cuts[column * stride + k] = float32Down(ends[k]!)
    for (let k = 0, code = 0; k < m; k++) {
      while (code < count && sorted[k]! > ends[code]!) code++
      codes[column * rows + order[k]!] = code
    }
  }

  /**
   * Where bins end, the last one's end excepted, given how many zeros come before the sorted values; returns how many
   * ends there are.
   */
  #findEnds(zeros: number, m: number): number {
    const sorted = this.#sorted
    const ends = this.#ends
    const maxBins = this.#maxBins
    let count = 0
    let last = zeros > 0 ? 0 : sorted[0]!
    for (let k = 0; k < m && count < maxBins; k++) {
      const value = sorted[k]!
      // One more than there may be, where there are too many values.
      if (value !== last) ends[count++] = (last + value) / 2
      last = value
    }
    if (count < maxBins) return count
    count = 0
    const { rank, halfway } = this.#ranks
    for (let k = 0; k < rank.length; k++) {
      const at = rank[k]! - zeros
      const low = at < 0 ? 0 : sorted[at]!
      const high = at + 1 < 0 ? 0 : sorted[at + 1]!
      const end = halfway[k] ? high - (high - low) * 0.5 : low
      if (count === 0 || end > ends[count - 1]!) ends[count++] = end
    }
    return count
  }

  /** Sorts the values with their rows: by equal steps of their range first, then what is left to do by insertion. */
  #sort({ values, places }: BinArena, from: number, m: number): void {
    const steps = this.#steps
    const starts = this.#starts
    const sorted = this.#sorted
    const order = this.#order
    let low = values[from]!
    let top = low
    for (let k = from + 1; k < from + m; k++) {
      const v = values[k]!
      if (v < low) low = v
      else if (v > top) top = v
    }
    const size = Math.min(maxSteps, 2 ** Math.ceil(Math.log2(2 * m)))
    const factor = top > low ? (size - 0.5) / (top - low) : 0
    starts.fill(0, 0, size + 1)
    for (let k = 0; k < m; k++) {
      const s = ((values[from + k]! - low) * factor) | 0
      steps[k] = s
      starts[s + 1]!++
    }
    for (let s = 1; s <= size; s++) starts[s]! += starts[s - 1]!
    for (let k = 0; k < m; k++) {
      const at = starts[steps[k]!]!++
      sorted[at] = values[from + k]!
      order[at] = places[from + k]!
    }
    // Where most values share a step, because of an outlier, there would be no end of it.
    let moves = 16 * m
    for (let k = 1; k < m; k++) {
      const value = sorted[k]!
      if (value >= sorted[k - 1]!) continue
      const place = order[k]!
      let at = k
      for (; at > 0 && sorted[at - 1]! > value; at--) {
        sorted[at] = sorted[at - 1]!
        order[at] = order[at - 1]!
      }
      sorted[at] = value
      order[at] = place
      moves -= k - at
      if (moves < 0) {
        this.#sortWhole(values, places, from, m)
        return
      }
    }
  }

  #sortWhole(values: Float32Array, places: Int32Array, from: number, m: number): void {
    const sorted = this.#sorted
    const order = this.#order
    const bits = new Int32Array(values.buffer, values.byteOffset, values.length)
    const keys = Float64Array.from({ length: m }, (_, k) => sortKey(bits[from + k]!, k)).sort()
    for (let k = 0; k < m; k++) {
      const at = from + (keys[k]! % maxTreeRows)
      sorted[k] = values[at]!
      order[k] = places[at]!
    }
  }
}

/** Numbers of {@link binQuantiles}' cuts for each column. */
export const cutStride = (rows: number, maxBins: number): number => Math.min(rows, maxBins)

/**
 * Bins column by column, in arrays that were 0: `codes[f * rows + i]`; and where they end, `cuts[f * cutStride +
 * code]`: values up to that have this code or a smaller one.
 */
export function binQuantiles(
  range: ColumnRange,
  codes: Uint8Array | Uint16Array,
  cuts: Float32Array,
  maxBins: number,
): void {
  const binner = new QuantileBinner(range.rows, maxBins, codes, cuts)
  eachBlock(range, (arena, j, column) => binner.run(arena, j, column))
}
