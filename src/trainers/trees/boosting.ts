import { createRandom } from '../../base/random.js'
import { leafOf, type TreeNodes } from './arrays.js'
import { between, NodeList } from './growing.js'
import type { TreeData } from './search.js'
import { BoostArena, boostAt } from './wasm/boost-kernel.js'

let arena: BoostArena | undefined
/** This thread's arena, made again only when the number of rows is another one. */
function arenaOf(rows: number): BoostArena {
  if (arena?.rows !== rows) arena = new BoostArena(rows)
  return arena
}

/** What boosted trees share besides the data. Rows of one tree of an iteration lie together: `[trees, rows]`. */
export interface BoostingSetup {
  readonly gradient: Float64Array
  readonly hessian: Float64Array
  /** Raw scores so far; a tree adds its leaves' values to its own part. */
  readonly scores: Float64Array
  /** Rows that trees grow on; the others only get scores. */
  readonly train: Int32Array
  readonly held: Int32Array
  readonly rate: number
  readonly l2: number
  readonly maxLeaves: number
  readonly maxDepth: number
  /** Fewest rows of a leaf. */
  readonly minRows: number
  /** Columns drawn for each tree. */
  readonly tried: number
}

export interface BoostJob {
  readonly kind: 'boost'
  readonly iteration: number
  /** Which of the iteration's trees: the class. */
  readonly tree: number
}

export interface BoostedTree extends TreeNodes {
  /** `[splits]` column and gain of every split, for the importance. */
  readonly splitColumns: Int32Array
  readonly splitGains: Float64Array
}

/** Sums of gradient, hessian and rows of one bin. */
const perBin = 3
/** A side with less hessian than this is no side; scikit-learn's `min_hessian_to_split`. */
const minHessian = 1e-3
/** A node with fewer rows than this times the bins is searched column by column instead of by histograms that are kept. */
const fewRows = 4

interface Leaf {
  readonly node: number
  readonly from: number
  readonly n: number
  readonly depth: number
  readonly gradient: number
  readonly hessian: number
  histogram: Float64Array | undefined
  gain: number
  /** Place among the drawn columns. */
  column: number
  code: number
}

/**
 * Grows one tree of a boosting iteration, best leaf first (Ke 2017, LightGBM; scikit-learn's HistGradientBoostingClassifier), on
 * gradients and hessians of the loss (Chen 2016). A histogram is filled for the smaller child only, the larger one is what the parent
 * leaves over; zeros are never visited, their bin is what the others leave over. Nodes with few rows for the bins have no histogram
 * (boost-kernel.ts): most of it would be empty.
 */
export function boostTree(
  { data, maxBins, seed }: { readonly data: TreeData; readonly maxBins: number; readonly seed: number },
  setup: BoostingSetup,
  job: BoostJob,
): BoostedTree {
  const { x, rows: height, cols, codes } = data
  const { l2, minRows, maxLeaves, maxDepth, tried } = setup
  const first = job.tree * height
  const gradient = setup.gradient.subarray(first, first + height)
  const hessian = setup.hessian.subarray(first, first + height)
  const random = createRandom(seed).fork(`${job.iteration}/${job.tree}`)
  const all = Int32Array.from({ length: cols }, (_, f) => f)
  for (let k = 0; k < tried && tried < cols; k++) {
    const pick = k + random.int(cols - k)
    const f = all[pick]!
    all[pick] = all[k]!
    all[k] = f
  }
  const drawn = all.subarray(0, tried).sort()
  const rows = Int32Array.from(setup.train)
  const scratch = new Int32Array(rows.length)
  const nodes = new NodeList(1)
  const spare: Float64Array[] = []
  const g = new Float64Array(rows.length)
  const h = new Float64Array(rows.length)

  const fill = (from: number, n: number): Float64Array => {
    const histogram = spare.pop()?.fill(0) ?? new Float64Array(tried * maxBins * perBin)
    for (let k = 0; k < n; k++) {
      const row = rows[from + k]!
      g[k] = gradient[row]!
      h[k] = hessian[row]!
    }
    for (let j = 0; j < tried; j++) {
      const start = drawn[j]! * height
      const base = j * maxBins
      for (let k = 0; k < n; k++) {
        const code = codes[start + rows[from + k]!]!
        if (code === 0) continue
        const at = (base + code) * perBin
        histogram[at]! += g[k]!
        histogram[at + 1]! += h[k]!
        histogram[at + 2]! += 1
      }
    }
    return histogram
  }

  /** Finds the best cut of a leaf with few rows. */
  const judgeDirectly = (leaf: Leaf): void => {
    const { from, n } = leaf
    const { bytes, words, doubles, batch, kernel, gradients, hessians } = arenaOf(height)
    for (let k = 0; k < n; k++) {
      gradients[k] = gradient[rows[from + k]!]!
      hessians[k] = hessian[rows[from + k]!]!
    }
    words[boostAt.n / 4] = n
    for (const [field, value] of [
      [boostAt.gain, 0],
      [boostAt.gradient, leaf.gradient],
      [boostAt.hessian, leaf.hessian],
      [boostAt.l2, l2],
      [boostAt.minHessian, minHessian],
      [boostAt.rows, n],
      [boostAt.minRows, minRows],
    ] as const)
      doubles[field / 8] = value
    // Whole vectors of 16 codes; zeros fill them up and are never visited.
    const stride = Math.ceil(n / 16) * 16
    const together = Math.max(1, Math.floor(batch.length / stride))
    bytes.fill(0, batch.start, batch.start + Math.min(together, tried) * stride)
    for (let j0 = 0; j0 < tried; j0 += together) {
      const width = Math.min(together, tried - j0)
      for (let j = 0; j < width; j++) {
        const start = drawn[j0 + j]! * height
        const to = batch.start + j * stride
        for (let k = 0; k < n; k++) bytes[to + k] = codes[start + rows[from + k]!]!
      }
      const before = doubles[boostAt.gain / 8]!
      kernel.search(batch.start, stride, width)
      if (doubles[boostAt.gain / 8]! <= before) continue
      leaf.gain = doubles[boostAt.gain / 8]!
      leaf.column = j0 + words[boostAt.column / 4]!
      leaf.code = words[boostAt.code / 4]!
    }
  }

  /** Finds the leaf's best cut. */
  const judge = (leaf: Leaf): void => {
    const { histogram, n } = leaf
    if (!histogram) {
      judgeDirectly(leaf)
      return
    }
    const whole = (leaf.gradient * leaf.gradient) / (leaf.hessian + l2)
    let best = 0
    for (let j = 0; j < tried; j++) {
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
        const restH = leaf.hessian - sumH
        if (restH < minHessian) break
        const restG = leaf.gradient - sumG
        const gain = (sumG * sumG) / (sumH + l2) + (restG * restG) / (restH + l2) - whole
        if (gain > best) {
          best = gain
          leaf.column = j
          leaf.code = b - 1
        }
      }
    }
    leaf.gain = best
  }

  const newLeaf = (node: number, from: number, n: number, depth: number): Leaf => {
    let sumG = 0
    let sumH = 0
    for (let k = from; k < from + n; k++) {
      sumG += gradient[rows[k]!]!
      sumH += hessian[rows[k]!]!
    }
    return { node, from, n, depth, gradient: sumG, hessian: sumH, histogram: undefined, gain: 0, column: 0, code: 0 }
  }
  const splittable = (leaf: Leaf): boolean =>
    leaf.n >= 2 * minRows && leaf.depth < maxDepth && leaf.hessian >= 2 * minHessian

  const isLarge = (leaf: Leaf): boolean => leaf.n >= fewRows * maxBins

  const leaves: Leaf[] = [newLeaf(nodes.add(), 0, rows.length, 0)]
  if (splittable(leaves[0]!)) {
    if (isLarge(leaves[0]!)) leaves[0]!.histogram = fill(0, rows.length)
    judge(leaves[0]!)
  }
  const splits: { column: number; gain: number }[] = []
  while (leaves.length < maxLeaves) {
    let at = 0
    for (let k = 1; k < leaves.length; k++) if (leaves[k]!.gain > leaves[at]!.gain) at = k
    const leaf = leaves[at]!
    if (leaf.gain <= 0) break
    const column = drawn[leaf.column]!
    splits.push({ column, gain: leaf.gain })
    let middle = leaf.from
    let right = 0
    let [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
    for (let k = leaf.from; k < leaf.from + leaf.n; k++) {
      const row = rows[k]!
      const value = x[row * cols + column]!
      if (codes[column * height + row]! <= leaf.code) {
        rows[middle++] = row
        if (value > low) low = value
      } else {
        scratch[right++] = row
        if (value < high) high = value
      }
    }
    rows.set(scratch.subarray(0, right), middle)
    const children = nodes.split(leaf.node, column, between(low, high))
    const left = newLeaf(children.left, leaf.from, middle - leaf.from, leaf.depth + 1)
    const other = newLeaf(children.right, middle, right, leaf.depth + 1)
    const [small, large] = left.n <= other.n ? [left, other] : [other, left]
    if (leaves.length + 1 < maxLeaves) {
      const parent = leaf.histogram
      if (parent && isLarge(large) && splittable(large)) {
        small.histogram = fill(small.from, small.n)
        for (let i = 0; i < parent.length; i++) parent[i]! -= small.histogram[i]!
        large.histogram = parent
        leaf.histogram = undefined
      }
      for (const child of [small, large]) if (splittable(child)) judge(child)
    }
    for (const node of [leaf, small, large]) {
      if (!node.histogram || (node !== leaf && isLarge(node) && splittable(node))) continue
      spare.push(node.histogram)
      node.histogram = undefined
    }
    leaves[at] = left
    leaves.push(other)
  }
  for (const leaf of leaves) {
    const value = Math.fround((-leaf.gradient / (leaf.hessian + l2 || 1)) * setup.rate)
    nodes.fill(leaf.node, [value])
    for (let k = leaf.from; k < leaf.from + leaf.n; k++) setup.scores[first + rows[k]!]! += value
  }
  const tree = nodes.finish()
  for (const row of setup.held) setup.scores[first + row]! += tree.values[leafOf(tree, 0, x, row * cols)]!
  return {
    ...tree,
    splitColumns: Int32Array.from(splits, ({ column }) => column),
    splitGains: Float64Array.from(splits, ({ gain }) => gain),
  }
}
