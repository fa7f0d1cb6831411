import type { Matrix } from './contract.js'

/** Features as small whole numbers: `codes[f * rows + i]` is the bin of row i. */
export interface Binned {
  readonly codes: Uint8Array
  readonly rows: number
  readonly cols: number
  /** `edges[f][b]`: values up to and including it are in bin b or below. */
  readonly edges: readonly Float32Array[]
}

const maxBins = 255

/**
 * Cuts every feature into at most 255 bins of about equal size, between neighbouring values: with fewer distinct values each has a
 * bin of its own, and the trees are those of an exact search.
 */
export function binFeatures(x: Matrix): Binned {
  const { data, rows, cols } = x
  const codes = new Uint8Array(rows * cols)
  const edges: Float32Array[] = []
  const column = new Float32Array(rows)
  for (let f = 0; f < cols; f++) {
    for (let i = 0; i < rows; i++) column[i] = data[i * cols + f]!
    const sorted = Float32Array.from(column).sort()
    const cuts: number[] = []
    const distinct = sorted.filter((value, i) => i === 0 || value !== sorted[i - 1])
    const between = (low: number, high: number): number => {
      const middle = Math.fround((low + high) / 2)
      return middle >= low && middle < high ? middle : low
    }
    if (distinct.length <= maxBins)
      for (let i = 1; i < distinct.length; i++) cuts.push(between(distinct[i - 1]!, distinct[i]!))
    else {
      for (let b = 1; b < maxBins; b++) {
        const at = Math.floor((b * rows) / maxBins)
        const [low, high] = [sorted[at - 1]!, sorted[at]!]
        if (low < high) cuts.push(between(low, high))
      }
    }
    const own = Float32Array.from(cuts)
    edges.push(own)
    for (let i = 0; i < rows; i++) codes[f * rows + i] = binOf(own, column[i]!)
  }
  return { codes, rows, cols, edges }
}

/** Number of edges below a value. */
function binOf(edges: Float32Array, value: number): number {
  let low = 0
  let high = edges.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (edges[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}
