import type { Random } from '../../base/random.js'
import type { TreeNodes } from './arrays.js'
import { between, NodeList } from './growing.js'
import { type Criterion, type Cut, Sweeper, worth } from './sweep.js'

/** What trees grow on. All arrays may be shared between threads: none is written to. */
export interface TreeData {
  /** `[rows, cols]`. */
  readonly x: Float32Array
  readonly rows: number
  readonly cols: number
  readonly classes: number
  readonly y: Int32Array
  /** Bins (binning.ts); empty where cuts are drawn at random. */
  readonly codes: Uint8Array | Uint16Array
  /** The values column by column, where cuts are drawn at random; else empty. */
  readonly columns: Float32Array
}

export interface GrowOptions {
  readonly criterion: Criterion
  /** Columns drawn at each node. */
  readonly tried: number
  readonly maxDepth: number
  /** Fewest rows of a leaf. */
  readonly minRows: number
  /** Extra-trees: one random cut a column instead of the best. */
  readonly randomCuts: boolean
  /** Also return the class weights of every node, for pruning and printing. */
  readonly keepCounts?: boolean
}

export interface GrownTree extends TreeNodes {
  /** `[cols]` decrease of impurity by each column, summing to 1 (to 0 in a tree without a split). */
  readonly importance: Float64Array
  /** `[nodes, classes]` with `keepCounts`. */
  readonly counts?: Float64Array
}

/** A side lighter than this share of a mean row is none: rows that weigh next to nothing are not learned by heart. */
const leastWeight = 1e-3

/**
 * Grows one classification tree (Breiman 1984; with `randomCuts` Geurts 2006). As in scikit-learn: `tried` columns are drawn at a
 * node, those that are constant there among them; only if all were constant it draws on. A node is split as long as it is not pure,
 * even by a cut that gains nothing. The threshold lies halfway between the neighbouring values of the node's own rows.
 *
 * @param weights `[rows]`, 0 leaves a row out
 */
export function growClassificationTree(
  data: TreeData,
  weights: Float64Array,
  options: GrowOptions,
  random: Random,
): GrownTree {
  const { x, cols, classes, y, codes } = data
  const { criterion, minRows } = options
  const nodes = new NodeList(classes)
  const rows = Int32Array.from(weights.keys()).filter((i) => weights[i]! > 0)
  const scratch = new Int32Array(rows.length)
  const features = Int32Array.from({ length: cols }, (_, f) => f)
  const importance = new Float64Array(cols)
  const kept: number[] = []
  const list = { codes: new Int32Array(rows.length), places: new Int32Array(rows.length) }
  const own = { y: new Int32Array(rows.length), w: new Float64Array(rows.length) }
  let weight = 0
  for (const row of rows) weight += weights[row]!
  const minWeight = (leastWeight * weight) / rows.length
  const sweeper = new Sweeper(classes, rows.length, criterion, minRows, minWeight)
  const drawer = new CutDrawer(data, criterion, minRows, minWeight, random)
  const wide = codes.BYTES_PER_ELEMENT === 2
  const [shift, fill] = wide ? [16, 65535] : [8, 255]

  /** False where the column is constant in the node. */
  const sweepColumn = (
    feature: number,
    from: number,
    n: number,
    counts: Float64Array,
    total: number,
    best: Cut,
  ): boolean => {
    const start = feature * data.rows
    const { codes: found, places } = list
    let m = 0
    for (let k = 0; k < n; k++) {
      const code = codes[start + rows[from + k]!]!
      found[m] = code
      places[m] = k
      m += (code + fill) >> shift // 1 unless the code is 0, without a branch that would be guessed wrong
    }
    return m > 0 && sweeper.run(found, places, m, own.y, own.w, n, counts, total, feature, best)
  }

  const search = (from: number, n: number, counts: Float64Array, total: number): Cut => {
    const best: Cut = { feature: -1, code: 0, threshold: 0, gain: Number.NEGATIVE_INFINITY }
    let useful = 0
    for (let drawn = 0; drawn < cols && (drawn < options.tried || useful === 0); drawn++) {
      const pick = drawn + random.int(cols - drawn)
      const feature = features[pick]!
      features[pick] = features[drawn]!
      features[drawn] = feature
      const varies = options.randomCuts
        ? drawer.run(feature, rows, from, n, own.y, own.w, counts, total, best)
        : sweepColumn(feature, from, n, counts, total, best)
      if (varies) useful++
    }
    return best
  }

  /** Rows of the left side first; returns where the right side begins, and the threshold. */
  const part = (cut: Cut, from: number, n: number): { middle: number; threshold: number } => {
    const start = cut.feature * data.rows
    let middle = from
    let right = 0
    let [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
    for (let k = from; k < from + n; k++) {
      const row = rows[k]!
      const value = x[row * cols + cut.feature]!
      if (options.randomCuts ? value <= cut.threshold : codes[start + row]! <= cut.code) {
        rows[middle++] = row
        if (value > low) low = value
      } else {
        scratch[right++] = row
        if (value < high) high = value
      }
    }
    rows.set(scratch.subarray(0, right), middle)
    return { middle, threshold: options.randomCuts ? cut.threshold : between(low, high) }
  }

  const stack = [{ node: nodes.add(), from: 0, n: rows.length, depth: 0 }]
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { node, from, n, depth } = next
    const counts = new Float64Array(classes)
    let total = 0
    let first = -1
    let pure = true
    for (let k = 0; k < n; k++) {
      const row = rows[from + k]!
      const c = y[row]!
      const w = weights[row]!
      own.y[k] = c
      own.w[k] = w
      counts[c]! += w
      total += w
      if (first < 0) first = c
      else if (c !== first) pure = false
    }
    if (options.keepCounts) for (let c = 0; c < classes; c++) kept[node * classes + c] = counts[c]!
    const cut = pure || depth >= options.maxDepth || n < 2 * minRows ? undefined : search(from, n, counts, total)
    if (!cut || cut.feature < 0) {
      if (pure) counts.fill(0)[first] = total
      nodes.fill(node, counts, 1 / total)
      continue
    }
    importance[cut.feature]! += Math.max(0, cut.gain - worth(counts, total, criterion))
    const { middle, threshold } = part(cut, from, n)
    const { left, right } = nodes.split(node, cut.feature, threshold)
    stack.push(
      { node: right, from: middle, n: from + n - middle, depth: depth + 1 },
      { node: left, from, n: middle - from, depth: depth + 1 },
    )
  }
  const sum = importance.reduce((a, b) => a + b, 0)
  if (sum > 0) for (let f = 0; f < cols; f++) importance[f]! /= sum
  return { ...nodes.finish(), importance, ...(options.keepCounts ? { counts: Float64Array.from(kept) } : {}) }
}

/** Extra-trees' cut: one value, uniform between the smallest and the largest of the node. */
class CutDrawer {
  private readonly low: Float64Array
  private readonly high: Float64Array

  constructor(
    private readonly data: TreeData,
    private readonly criterion: Criterion,
    private readonly minRows: number,
    private readonly minWeight: number,
    private readonly random: Random,
  ) {
    this.low = new Float64Array(data.classes)
    this.high = new Float64Array(data.classes)
  }

  run(
    feature: number,
    rows: Int32Array,
    from: number,
    n: number,
    y: Int32Array,
    w: Float64Array,
    counts: Float64Array,
    total: number,
    best: Cut,
  ): boolean {
    const { columns, rows: height } = this.data
    const start = feature * height
    let low = columns[start + rows[from]!]!
    let top = low
    for (let k = 1; k < n; k++) {
      const value = columns[start + rows[from + k]!]!
      if (value < low) low = value
      else if (value > top) top = value
    }
    if (low === top) return false
    let threshold = Math.fround(low + (top - low) * this.random.next())
    if (threshold >= top) threshold = low
    this.high.fill(0)
    let above = 0
    let aboveWeight = 0
    for (let k = 0; k < n; k++) {
      if (columns[start + rows[from + k]!]! <= threshold) continue
      above++
      this.high[y[k]!]! += w[k]!
      aboveWeight += w[k]!
    }
    if (above < this.minRows || n - above < this.minRows) return true
    if (aboveWeight < this.minWeight || total - aboveWeight < this.minWeight) return true
    for (let c = 0; c < counts.length; c++) this.low[c] = Math.max(0, counts[c]! - this.high[c]!)
    const gain = worth(this.low, total - aboveWeight, this.criterion) + worth(this.high, aboveWeight, this.criterion)
    if (gain > best.gain) {
      best.gain = gain
      best.feature = feature
      best.threshold = threshold
    }
    return true
  }
}
