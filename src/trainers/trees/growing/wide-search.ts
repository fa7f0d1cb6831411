import type { Random } from '../../../base/random.js'
import { between } from './growing.js'
import { type NodeBuffers, type NodeRows, nodeBuffers, type SearchOptions, type TreeData } from './search.js'
import { type Cut, noCut, Sweeper } from './sweep.js'

/** Cuts between codes of two bytes that lie column by column: exact for single trees. */
export class WideSearch {
  readonly buffers: NodeBuffers
  /** All columns, in the order that was drawn last, and the words it was drawn by. */
  readonly #columns: Int32Array
  readonly #words: Uint32Array
  readonly #sweeper: Sweeper
  readonly #found: Int32Array
  readonly #places: Int32Array
  readonly #own: Uint16Array

  readonly #data: TreeData
  readonly #random: Random

  constructor(data: TreeData, options: SearchOptions, rows: number, random: Random) {
    this.#data = data
    this.#random = random

    this.buffers = nodeBuffers(rows, data.classes)
    this.#columns = Int32Array.from({ length: data.cols }, (_, f) => f)
    this.#words = new Uint32Array(data.cols)
    this.#sweeper = new Sweeper(data.classes, rows, options.criterion, options.minRows, options.minWeight)
    this.#found = new Int32Array(rows)
    this.#places = new Int32Array(rows)
    this.#own = new Uint16Array(rows)
  }

  /** The node's best cut; its feature is -1 if there is none. */
  search(node: NodeRows): Cut {
    const best = noCut()
    this.#shuffle()
    for (const column of this.#columns) this.#column(column, node, best)
    return best
  }

  #shuffle(): void {
    const columns = this.#columns
    const words = this.#words
    const cols = columns.length
    this.#random.words(words)
    for (let drawn = 0; drawn < cols; drawn++) {
      const pick = drawn + Math.floor((words[drawn]! / 2 ** 32) * (cols - drawn))
      const column = columns[pick]!
      columns[pick] = columns[drawn]!
      columns[drawn] = column
    }
  }

  #column(feature: number, node: NodeRows, best: Cut): void {
    const { rows, from, n, y, w, counts, total, sum } = node
    const found = this.#found
    const places = this.#places
    const { codes } = this.#data
    const start = feature * this.#data.rows
    let m = 0
    for (let k = 0; k < n; k++) {
      const code = codes[start + rows[from + k]!]!
      found[m] = code
      places[m] = k
      m += (code + 65_535) >> 16 // 1 unless the code is 0, without a branch that would be guessed wrong
    }
    if (m > 0) this.#sweeper.run(found, places, m, y, w, n, counts, total, sum, feature, best)
  }

  /**
   * Moves the rows with a code up to the cut's before the others, both in their order; returns where the others begin,
   * and the threshold between the values of both.
   */
  part(
    { feature, code }: Cut,
    { rows, from, n }: NodeRows,
    scratch: Int32Array,
  ): { middle: number; threshold: number } {
    const { x, cols, codes: all } = this.#data
    const codes = this.#own
    const start = feature * this.#data.rows
    for (let k = 0; k < n; k++) codes[k] = all[start + rows[from + k]!]!
    // Without branches on which side a row goes to: half of them would be guessed wrong.
    let lowCode = 0
    let highCode = 0xffff
    for (let k = 0; k < n; k++) {
      const own = codes[k]!
      const over = (code - own) >>> 31
      lowCode = Math.max(lowCode, own & (over - 1))
      highCode = Math.min(highCode, own | ((over - 1) & 0xffff))
    }
    // Only rows next to the cut have a say in the threshold.
    let low = Number.NEGATIVE_INFINITY
    let high = Number.POSITIVE_INFINITY
    let middle = from
    let right = 0
    for (let k = 0; k < n; k++) {
      const row = rows[from + k]!
      const own = codes[k]!
      if (own === highCode) high = Math.min(high, x[row * cols + feature]!)
      else if (own === lowCode) low = Math.max(low, x[row * cols + feature]!)
      const over = (code - own) >>> 31
      rows[middle] = row
      scratch[right] = row
      middle += 1 - over
      right += over
    }
    for (let k = 0; k < right; k++) rows[middle + k] = scratch[k]!
    return { middle, threshold: between(low, high) }
  }
}
