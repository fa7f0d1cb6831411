import type { NodeRows, SearchOptions } from './search.js'
import { type Cut, xlogx } from './sweep.js'

/** Lists of at most this length are sorted by insertion. */
const shortList = 8
/** Bits of a list entry that hold the row's place in its node. */
const placeBits = 20
const placeMask = 2 ** placeBits - 1

/** In a column's list: set on the last row of every code. */
export const lastOf = (list: Uint16Array | Uint32Array): number => (list.BYTES_PER_ELEMENT === 2 ? 2 ** 15 : 2 ** 31)

/** What a list holds for a row of a node: its code of one byte, and its place in the node. Larger codes, larger entries. */
export const entryOf = (code: number, place: number): number => (code << placeBits) | place

/**
 * The best cut of one column in one node, where codes have one byte. Rows of code 0 (the zeros of an embedding) are never visited:
 * they are what the others leave over. A sweep goes from the largest code down.
 */
export class ByteSweeper {
  private readonly high: Float64Array
  private readonly sorted: Int32Array
  /** Codes present, a bit each; the last entry of every code, and for every entry the one of its code before it, or -1. */
  private readonly present = new Int32Array(8)
  private readonly latest = new Int32Array(256)
  private readonly before: Int32Array

  constructor(
    classes: number,
    rows: number,
    private readonly options: SearchOptions,
  ) {
    this.high = new Float64Array(classes)
    this.sorted = new Int32Array(rows + 1)
    this.before = new Int32Array(rows)
  }

  /** Entries by falling code, then one of code 0. */
  private sort(entries: Int32Array, from: number, m: number): void {
    const { sorted } = this
    if (m <= shortList) {
      for (let k = 0; k < m; k++) {
        const entry = entries[from + k]!
        let at = k
        for (; at > 0 && sorted[at - 1]! < entry; at--) sorted[at] = sorted[at - 1]!
        sorted[at] = entry
      }
      sorted[m] = 0
      return
    }
    const { present, latest, before } = this
    for (let k = 0; k < m; k++) {
      const code = entries[from + k]! >>> placeBits
      const word = present[code >>> 5]!
      before[k] = latest[code]! | (((word >>> (code & 31)) & 1) - 1)
      latest[code] = k
      present[code >>> 5] = word | (1 << (code & 31))
    }
    let at = 0
    for (let w = 7; w >= 0; w--) {
      let word = present[w]!
      present[w] = 0
      while (word !== 0) {
        const bit = 31 - Math.clz32(word)
        word ^= 1 << bit
        for (let k = latest[w * 32 + bit]!; k >= 0; k = before[k]!) sorted[at++] = entries[from + k]!
      }
    }
    sorted[m] = 0
  }

  /**
   * @param entries of the node's rows with a code above 0: `m` of them (at least 1) beginning at `from`
   * @returns false where the column is constant in the node
   */
  entries(entries: Int32Array, from: number, m: number, node: NodeRows, feature: number, best: Cut): boolean {
    this.sort(entries, from, m)
    const { sorted } = this
    if (m === node.n && sorted[0]! >>> placeBits === sorted[m - 1]! >>> placeBits) return false
    if (this.options.criterion === 'gini') this.gini(m, node, feature, best)
    else this.entropy(m, node, feature, best)
    return true
  }

  private gini(m: number, { y, w, n, counts, total, sum }: NodeRows, feature: number, best: Cut): void {
    const { high, sorted } = this
    const { minRows, minWeight } = this.options
    let highSquares = 0
    let lowSquares = sum
    let highWeight = 0
    let bestGain = best.gain
    let bestCode = -1
    for (let k = 0; k < m; k++) {
      const place = sorted[k]! & placeMask
      const c = y[place]!
      const weight = w[place]!
      const h = high[c]!
      highSquares += weight * (2 * h + weight)
      lowSquares += weight * (weight - 2 * (counts[c]! - h))
      high[c] = h + weight
      highWeight += weight
      const lowWeight = total - highWeight
      const product = highWeight * lowWeight
      const gain = highSquares * lowWeight + lowSquares * highWeight
      // What is seldom true comes first: branches that cannot be guessed cost more than the sums.
      if (gain > bestGain * product) {
        const next = sorted[k + 1]! >>> placeBits
        if (next === sorted[k]! >>> placeBits || k + 1 < minRows || n - k - 1 < minRows) continue
        if (highWeight < minWeight || lowWeight < minWeight) continue
        bestGain = gain / product
        bestCode = next
      }
    }
    // Not the whole array: with many classes most nodes hold few of them.
    for (let k = 0; k < m; k++) high[y[sorted[k]! & placeMask]!] = 0
    if (bestCode < 0) return
    best.gain = bestGain
    best.feature = feature
    best.code = bestCode
  }

  private entropy(m: number, node: NodeRows, feature: number, best: Cut): void {
    const { high, sorted } = this
    const { y, w, n, counts, total } = node
    const { minRows, minWeight } = this.options
    let { sum } = node
    let highWeight = 0
    for (let k = 0; k < m; k++) {
      const place = sorted[k]! & placeMask
      const c = y[place]!
      const weight = w[place]!
      const h = high[c]!
      const l = counts[c]! - h
      sum += xlogx(h + weight) - xlogx(h) + xlogx(l - weight) - xlogx(l)
      high[c] = h + weight
      highWeight += weight
      const next = sorted[k + 1]! >>> placeBits
      if (next === sorted[k]! >>> placeBits || k + 1 < minRows || n - k - 1 < minRows) continue
      const lowWeight = total - highWeight
      if (highWeight < minWeight || lowWeight < minWeight) continue
      const gain = sum - xlogx(highWeight) - xlogx(lowWeight)
      if (gain > best.gain) {
        best.gain = gain
        best.feature = feature
        best.code = next
      }
    }
    for (let k = 0; k < m; k++) high[y[sorted[k]! & placeMask]!] = 0
  }

  /**
   * The same by gini, for nodes that hold much of all rows, from the column's own list: nothing is gathered and nothing sorted.
   *
   * @param list rows of the column with a code above 0 by falling code, {@link lastOf} set on the last of every code
   * @param weights `[rows]` of the node's rows, 0 for others
   * @param codes of the column, `stride` apart
   */
  list(
    list: Uint16Array | Uint32Array,
    from: number,
    m: number,
    weights: Float64Array,
    y: Int32Array,
    { counts, total, sum }: NodeRows,
    best: Cut,
  ): number {
    const { high } = this
    const { minWeight } = this.options
    const last = lastOf(list)
    const mask = last - 1
    let highSquares = 0
    let lowSquares = sum
    let highWeight = 0
    let bestGain = best.gain
    let bestPlace = -1
    for (let k = 0; k < m; k++) {
      const entry = list[from + k]!
      const row = entry & mask
      const c = y[row]!
      const weight = weights[row]!
      const h = high[c]!
      highSquares += weight * (2 * h + weight)
      lowSquares += weight * (weight - 2 * (counts[c]! - h))
      high[c] = h + weight
      highWeight += weight
      const lowWeight = total - highWeight
      const product = highWeight * lowWeight
      const gain = highSquares * lowWeight + lowSquares * highWeight
      if (gain > bestGain * product && entry >= last && highWeight >= minWeight && lowWeight >= minWeight) {
        bestGain = gain / product
        bestPlace = k
      }
    }
    high.fill(0)
    if (bestPlace >= 0) best.gain = bestGain
    return bestPlace
  }
}
