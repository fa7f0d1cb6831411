import { gainOf, leastGain } from '../wasm/boosting/boost-kernel.js'
import type { SearchedNode, SplitLimits } from './lists.js'

/** Sums of gradient, hessian and rows of one bin. */
const perBin = 3

/**
 * Histograms `[columns, bins]` of nodes with many rows for the bins, of one tree after the other. Rows of code 0 are
 * not in them.
 */
export class BoostHistograms {
  readonly #spare: Float64Array[] = []
  readonly #g: Float64Array
  readonly #h: Float64Array
  #gradient: Float32Array = new Float32Array(0)
  #hessian: Float32Array = new Float32Array(0)
  #columns: Int32Array = new Int32Array(0)

  readonly #data: { readonly codes: Uint8Array | Uint16Array; readonly rows: number }
  readonly #maxBins: number
  readonly #limits: SplitLimits

  constructor(
    data: { readonly codes: Uint8Array | Uint16Array; readonly rows: number },
    maxBins: number,
    limits: SplitLimits,
  ) {
    this.#data = data
    this.#maxBins = maxBins
    this.#limits = limits

    this.#g = new Float64Array(data.rows)
    this.#h = new Float64Array(data.rows)
  }

  /** Begins a tree on these gradients, in these columns. */
  begin(gradient: Float32Array, hessian: Float32Array, columns: Int32Array): void {
    if (columns.length !== this.#columns.length) this.#spare.length = 0
    this.#gradient = gradient
    this.#hessian = hessian
    this.#columns = columns
  }

  fill(rows: Int32Array, from: number, n: number): Float64Array {
    const columns = this.#columns
    const maxBins = this.#maxBins
    const g = this.#g
    const h = this.#h
    const { codes, rows: height } = this.#data
    const histogram = this.#spare.pop()?.fill(0) ?? new Float64Array(columns.length * maxBins * perBin)
    for (let k = 0; k < n; k++) {
      const row = rows[from + k]!
      g[k] = this.#gradient[row]!
      h[k] = this.#hessian[row]!
    }
    columns.forEach((column, j) => {
      const start = column * height
      const base = j * maxBins
      for (let k = 0; k < n; k++) {
        const code = codes[start + rows[from + k]!]!
        if (code === 0) continue
        const at = (base + code) * perBin
        histogram[at]! += g[k]!
        histogram[at + 1]! += h[k]!
        histogram[at + 2]! += 1
      }
    })
    return histogram
  }

  /** Takes a child's histogram from its parent's: what is left is the other child's. */
  subtract(parent: Float64Array, child: Float64Array): void {
    for (let i = 0; i < parent.length; i++) parent[i]! -= child[i]!
  }

  /** Gives a histogram back: the next {@link fill} may write over it. */
  free(histogram: Float64Array): void {
    this.#spare.push(histogram)
  }

  /** Finds the best cut of a node: of those that are equally good the one in the first column, and there the lowest. */
  judge(node: SearchedNode, histogram: Float64Array): void {
    const { n, gradient, hessian } = node
    const maxBins = this.#maxBins
    const limits = this.#limits
    const { l2, minRows, minHessian } = limits
    let best = -node.own * leastGain
    for (let j = 0; j < this.#columns.length; j++) {
      const base = j * maxBins
      let sumG = 0
      let sumH = 0
      let count = 0
      for (let b = maxBins - 1; b > 0; b--) {
        const at = (base + b) * perBin
        const here = histogram[at + 2]!
        if (here === 0) continue
        sumG += histogram[at]!
        sumH += histogram[at + 1]!
        count += here
        if (n - count < minRows) break
        if (count < minRows || sumH < minHessian) continue
        const restH = hessian - sumH
        if (restH < minHessian) break
        const restG = gradient - sumG
        const gain = gainOf(node.own, restG, restH + l2, sumG, sumH + l2)
        if (gain > best || (gain === best && node.column === j)) {
          best = gain
          node.column = j
          node.code = b - 1
          node.gain = gain
        }
      }
    }
    if (node.gain === 0) return
    // The cut is where the left side's last bin ends.
    while (node.code > 0 && histogram[(node.column * maxBins + node.code) * perBin + 2] === 0) node.code--
  }
}
