import { type Criterion, sumOf, xlogx } from '../criterion.js'

/** The best cut of one node so far. `gain` is the criterion of both sides together: larger is purer. */
export interface Cut {
  feature: number
  /** Codes up to this one go left. */
  code: number
  gain: number
}

/** Where a search begins. */
export const noCut = (): Cut => ({ feature: -1, code: 0, gain: Number.NEGATIVE_INFINITY })

/** Lists of at most this length are sorted by insertion. */
const shortList = 24

/**
 * Looks for the best cut of one column in one node. Rows of code 0 (the zeros of an embedding) are never visited: they
 * are what the others leave over. The sweep goes from the largest code down.
 */
export class Sweeper {
  readonly #high: Float64Array
  readonly #order: Int32Array
  readonly #sortedCodes: Int32Array
  #starts = new Int32Array(1024)

  readonly #criterion: Criterion
  /** Fewest rows of a side. */
  readonly #minRows: number
  /** Least weight of a side. */
  readonly #minWeight: number

  constructor(classes: number, rows: number, criterion: Criterion, minRows: number, minWeight: number) {
    this.#criterion = criterion
    this.#minRows = minRows
    this.#minWeight = minWeight

    this.#high = new Float64Array(classes)
    this.#order = new Int32Array(rows)
    this.#sortedCodes = new Int32Array(rows)
  }

  /** Sorts places 0 … m by falling code. */
  #sort(codes: Int32Array, m: number, low: number, top: number): void {
    const order = this.#order
    const sortedCodes = this.#sortedCodes
    if (m <= shortList) {
      for (let k = 0; k < m; k++) {
        const code = codes[k]!
        let at = k
        for (; at > 0 && sortedCodes[at - 1]! < code; at--) {
          sortedCodes[at] = sortedCodes[at - 1]!
          order[at] = order[at - 1]!
        }
        sortedCodes[at] = code
        order[at] = k
      }
      return
    }
    const range = top - low + 1
    if (range > 16 * m) {
      const keys = new Float64Array(m)
      for (let k = 0; k < m; k++) keys[k] = (top - codes[k]!) * 2 ** 21 + k
      keys.sort()
      for (let k = 0; k < m; k++) {
        const place = keys[k]! % 2 ** 21
        order[k] = place
        sortedCodes[k] = codes[place]!
      }
      return
    }
    if (this.#starts.length < range + 1) this.#starts = new Int32Array(range + 1)
    const starts = this.#starts
    starts.fill(0, 0, range + 1)
    for (let k = 0; k < m; k++) starts[top - codes[k]! + 1]!++
    for (let b = 1; b < range; b++) starts[b]! += starts[b - 1]!
    for (let k = 0; k < m; k++) {
      const at = starts[top - codes[k]!]!++
      order[at] = k
      sortedCodes[at] = codes[k]!
    }
  }

  /**
   * @param codes `[m]` of the rows whose code is not 0
   * @param places `[m]` their places in the node
   * @param y class of every place of the node
   * @param w weight of every place of the node
   * @param m at least 1
   * @param n rows of the node
   * @param sum of the node: {@link sumOf}
   */
  run(
    codes: Int32Array,
    places: Int32Array,
    m: number,
    y: Int32Array,
    w: Float64Array,
    n: number,
    counts: Float64Array,
    total: number,
    sum: number,
    feature: number,
    best: Cut,
  ): void {
    let low = codes[0]!
    let top = low
    for (let k = 1; k < m; k++) {
      const code = codes[k]!
      if (code < low) low = code
      else if (code > top) top = code
    }
    if (low === top && m === n) return
    this.#sort(codes, m, low, top)
    if (this.#criterion === 'gini') this.#sweepGini(places, m, y, w, n, counts, total, sum, feature, best)
    else this.#sweepEntropy(places, m, y, w, n, counts, total, sum, feature, best)
  }

  #sweepGini(
    places: Int32Array,
    m: number,
    y: Int32Array,
    w: Float64Array,
    n: number,
    counts: Float64Array,
    total: number,
    sum: number,
    feature: number,
    best: Cut,
  ): void {
    const high = this.#high
    const order = this.#order
    const sortedCodes = this.#sortedCodes
    const minRows = this.#minRows
    const minWeight = this.#minWeight
    let highSquares = 0
    let lowSquares = sum
    let highWeight = 0
    for (let k = 0; k < m; k++) {
      const place = places[order[k]!]!
      const c = y[place]!
      const weight = w[place]!
      const h = high[c]!
      const l = counts[c]! - h
      highSquares += weight * (2 * h + weight)
      lowSquares += weight * (weight - 2 * l)
      high[c] = h + weight
      highWeight += weight
      const next = k + 1 < m ? sortedCodes[k + 1]! : 0
      if (next === sortedCodes[k] || k + 1 === n || k + 1 < minRows || n - k - 1 < minRows) continue
      const lowWeight = total - highWeight
      if (highWeight < minWeight || lowWeight < minWeight) continue
      const product = highWeight * lowWeight
      const gain = highSquares * lowWeight + lowSquares * highWeight
      if (gain > best.gain * product) {
        best.gain = gain / product
        best.feature = feature
        best.code = next
      }
    }
    // Not the whole array: with many classes most nodes hold few of them.
    for (let k = 0; k < m; k++) high[y[places[k]!]!] = 0
  }

  #sweepEntropy(
    places: Int32Array,
    m: number,
    y: Int32Array,
    w: Float64Array,
    n: number,
    counts: Float64Array,
    total: number,
    nodeSum: number,
    feature: number,
    best: Cut,
  ): void {
    const high = this.#high
    const order = this.#order
    const sortedCodes = this.#sortedCodes
    const minRows = this.#minRows
    const minWeight = this.#minWeight
    let sum = nodeSum
    let highWeight = 0
    for (let k = 0; k < m; k++) {
      const place = places[order[k]!]!
      const c = y[place]!
      const weight = w[place]!
      const h = high[c]!
      const l = counts[c]! - h
      sum += xlogx(h + weight) - xlogx(h) + xlogx(l - weight) - xlogx(l)
      high[c] = h + weight
      highWeight += weight
      const next = k + 1 < m ? sortedCodes[k + 1]! : 0
      if (next === sortedCodes[k] || k + 1 === n || k + 1 < minRows || n - k - 1 < minRows) continue
      const lowWeight = total - highWeight
      if (highWeight < minWeight || lowWeight < minWeight) continue
      const gain = sum - xlogx(highWeight) - xlogx(lowWeight)
      if (gain > best.gain) {
        best.gain = gain
        best.feature = feature
        best.code = next
      }
    }
    for (let k = 0; k < m; k++) high[y[places[k]!]!] = 0
  }
}
