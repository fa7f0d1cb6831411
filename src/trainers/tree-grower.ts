import type { Random } from '../base/random.js'
import type { Binned } from './binning.js'

/** A tree as flat arrays; a leaf has feature -1 and its class shares at `leaf * classes` of `shares`. */
export interface GrownTree {
  readonly feature: number[]
  readonly threshold: number[]
  /** Left child; the right one follows from `right`. */
  readonly left: number[]
  readonly right: number[]
  readonly leaf: number[]
  readonly shares: number[]
}

export interface GrowOptions {
  readonly classes: number
  /** Features tried at each node that are not constant there. */
  readonly tried: number
  readonly maxDepth: number
  readonly minLeafWeight: number
  /** Extra-trees: one random cut a feature instead of the best. */
  readonly randomCuts: boolean
}

/** Nodes of at most this many rows are searched by sorting, larger ones by histogram. */
const sortedRows = 96

interface Split {
  feature: number
  bin: number
  gain: number
}

/**
 * Grows one classification tree by Gini impurity (Breiman 1984). Features are drawn without replacement until `tried` of them were
 * not constant in the node, as scikit-learn does: on sparse embeddings most features are constant in small nodes, and counting
 * those as tried costs accuracy.
 *
 * @param weights `[rows]`, 0 leaves a row out
 * @param importance `[cols]`, gets the impurity decrease of each feature added
 */
export function growTree(
  x: Binned,
  y: Int32Array,
  weights: Float64Array,
  options: GrowOptions,
  random: Random,
  importance: Float64Array,
): GrownTree {
  const { classes } = options
  const tree: GrownTree = { feature: [], threshold: [], left: [], right: [], leaf: [], shares: [] }
  const rows = Int32Array.from(weights.keys()).filter((i) => weights[i]! > 0)
  const features = Int32Array.from({ length: x.cols }, (_, f) => f)
  const histogram = new Float64Array(256 * classes)
  const keys = new Int32Array(sortedRows)
  const leftCounts = new Float64Array(classes)
  const scratch = new Int32Array(rows.length)

  const addNode = (): number => {
    tree.feature.push(-1)
    tree.threshold.push(0)
    tree.left.push(-1)
    tree.right.push(-1)
    tree.leaf.push(-1)
    return tree.feature.length - 1
  }

  /** Weighted sum of squared class weights over weight: larger is purer. */
  const sweep = (
    counts: Float64Array,
    total: number,
    low: number,
    high: number,
    feature: number,
    best: Split,
  ): void => {
    leftCounts.fill(0)
    let leftWeight = 0
    let leftSquares = 0
    let rightSquares = 0
    for (let c = 0; c < classes; c++) rightSquares += counts[c]! * counts[c]!
    const cut = options.randomCuts ? low + random.int(high - low) : -1
    for (let b = low; b < high; b++) {
      for (let c = 0; c < classes; c++) {
        const w = histogram[b * classes + c]!
        if (w === 0) continue
        const l = leftCounts[c]!
        const r = counts[c]! - l
        leftSquares += w * (2 * l + w)
        rightSquares += w * (w - 2 * r)
        leftCounts[c] = l + w
        leftWeight += w
      }
      if (cut >= 0 && b !== cut) continue
      const rightWeight = total - leftWeight
      if (leftWeight < options.minLeafWeight || rightWeight < options.minLeafWeight) continue
      const gain = leftSquares / leftWeight + rightSquares / rightWeight
      if (gain > best.gain) {
        best.gain = gain
        best.feature = feature
        best.bin = b
      }
    }
  }

  const sortedSweep = (
    from: number,
    to: number,
    counts: Float64Array,
    total: number,
    codes: Uint8Array,
    feature: number,
    best: Split,
  ): void => {
    const n = to - from
    for (let k = 0; k < n; k++) keys[k] = (codes[rows[from + k]!]! << 16) | k
    const own = keys.subarray(0, n).sort()
    leftCounts.fill(0)
    let leftWeight = 0
    let leftSquares = 0
    let rightSquares = 0
    for (let c = 0; c < classes; c++) rightSquares += counts[c]! * counts[c]!
    for (let k = 0; k + 1 < n; k++) {
      const row = rows[from + (own[k]! & 0xffff)]!
      const c = y[row]!
      const w = weights[row]!
      const l = leftCounts[c]!
      const r = counts[c]! - l
      leftSquares += w * (2 * l + w)
      rightSquares += w * (w - 2 * r)
      leftCounts[c] = l + w
      leftWeight += w
      const bin = own[k]! >> 16
      if (bin === own[k + 1]! >> 16) continue
      const rightWeight = total - leftWeight
      if (leftWeight < options.minLeafWeight || rightWeight < options.minLeafWeight) continue
      const gain = leftSquares / leftWeight + rightSquares / rightWeight
      if (gain > best.gain) {
        best.gain = gain
        best.feature = feature
        best.bin = bin
      }
    }
  }

  const search = (from: number, to: number, counts: Float64Array, total: number): Split => {
    let squares = 0
    for (let c = 0; c < classes; c++) squares += counts[c]! * counts[c]!
    const parent = squares / total
    const best: Split = { feature: -1, bin: 0, gain: parent + 1e-12 * total }
    let useful = 0
    for (let drawn = 0; drawn < x.cols && useful < options.tried; drawn++) {
      const pick = drawn + random.int(x.cols - drawn)
      const feature = features[pick]!
      features[pick] = features[drawn]!
      features[drawn] = feature
      const codes = x.codes.subarray(feature * x.rows, (feature + 1) * x.rows)
      let low = 255
      let high = 0
      for (let k = from; k < to; k++) {
        const code = codes[rows[k]!]!
        if (code < low) low = code
        if (code > high) high = code
      }
      if (low === high) continue
      useful++
      if (to - from <= sortedRows && !options.randomCuts) {
        sortedSweep(from, to, counts, total, codes, feature, best)
        continue
      }
      histogram.fill(0, low * classes, (high + 1) * classes)
      for (let k = from; k < to; k++) {
        const row = rows[k]!
        histogram[codes[row]! * classes + y[row]!]! += weights[row]!
      }
      sweep(counts, total, low, high, feature, best)
    }
    if (best.feature >= 0) importance[best.feature]! += best.gain - parent
    return best
  }

  const stack: { node: number; from: number; to: number; depth: number }[] = [
    { node: addNode(), from: 0, to: rows.length, depth: 0 },
  ]
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { node, from, to, depth } = next
    const counts = new Float64Array(classes)
    let total = 0
    for (let k = from; k < to; k++) {
      counts[y[rows[k]!]!]! += weights[rows[k]!]!
      total += weights[rows[k]!]!
    }
    const pure = counts.some((count) => count === total)
    const split =
      pure || depth >= options.maxDepth || total < 2 * options.minLeafWeight
        ? undefined
        : search(from, to, counts, total)
    if (!split || split.feature < 0) {
      tree.leaf[node] = tree.shares.length / classes
      for (let c = 0; c < classes; c++) tree.shares.push(counts[c]! / total)
      continue
    }
    const codes = x.codes.subarray(split.feature * x.rows, (split.feature + 1) * x.rows)
    let middle = from
    let kept = 0
    for (let k = from; k < to; k++) {
      const row = rows[k]!
      if (codes[row]! <= split.bin) rows[middle++] = row
      else scratch[kept++] = row
    }
    rows.set(scratch.subarray(0, kept), middle)
    tree.feature[node] = split.feature
    tree.threshold[node] = x.edges[split.feature]![split.bin]!
    const left = addNode()
    const right = addNode()
    tree.left[node] = left
    tree.right[node] = right
    stack.push({ node: right, from: middle, to, depth: depth + 1 }, { node: left, from, to: middle, depth: depth + 1 })
  }
  return tree
}
