import { createRandom, type Random } from '../../../base/random.js'
import { cutStride } from '../bins/quantile-bins.js'
import { leafOf, type TreeNodes } from '../growing/arrays.js'
import { NodeList } from '../growing/growing.js'
import type { TreeData } from '../growing/search.js'
import { tiny, worthOf } from '../wasm/boosting/boost-kernel.js'
import { BoostHistograms } from './histograms.js'
import { BoostLists, type SearchedNode } from './lists.js'

/**
 * What boosted trees share besides the data. Rows of one tree of an iteration lie together: `[trees, rows]`. Gradients
 * and hessians are float32, as in scikit-learn: their sums in float64 are exact as a rule, so cuts that are equally
 * good stay so, in any order of rows.
 */
export interface BoostingSetup {
  readonly gradient: Float32Array
  readonly hessian: Float32Array
  /** Raw scores so far; a tree adds its leaves' values to its own part. */
  readonly scores: Float64Array
  /** Where the bins of every column end, see quantile-bins.ts. */
  readonly cuts: Float32Array
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

/** A side with less hessian than this is no side; scikit-learn's `min_hessian_to_split`. */
const minHessian = 1e-3
/**
 * A node with fewer rows than this, or than so many times the bins, is searched by sorted lists: most of a histogram
 * would be empty.
 */
const fewRows = { always: 2048, timesBins: 4 }

interface Leaf extends SearchedNode {
  readonly node: number
  readonly depth: number
  histogram: Float64Array | undefined
}

/** What a fit's trees need, made by a thread's first tree. */
interface Searches {
  /** Nodes of fewer rows have lists. */
  readonly most: number
  readonly lists: BoostLists
  readonly histograms: BoostHistograms
}
const searchesOf = new WeakMap<BoostingSetup, Searches>()

/** What a tree is grown on besides the boosting's own settings. */
export interface BoostedData {
  readonly data: TreeData
  readonly maxBins: number
  readonly seed: number
}

function searchesFor({ data, maxBins }: BoostedData, setup: BoostingSetup): Searches {
  const known = searchesOf.get(setup)
  if (known) return known
  const limits = { l2: setup.l2, minHessian, minRows: setup.minRows }
  const most = Math.max(fewRows.always, fewRows.timesBins * maxBins)
  const made = {
    most,
    lists: new BoostLists(data, Math.min(most, data.rows), setup.train, limits),
    histograms: new BoostHistograms(data, maxBins, limits),
  }
  searchesOf.set(setup, made)
  return made
}

/** Columns of a tree, ascending. */
function drawColumns(cols: number, tried: number, random: Random): Int32Array {
  const all = Int32Array.from({ length: cols }, (_, f) => f)
  for (let k = 0; k < tried && tried < cols; k++) {
    const pick = k + random.int(cols - k)
    const f = all[pick]!
    all[pick] = all[k]!
    all[k] = f
  }
  return all.subarray(0, tried).sort()
}

/**
 * Grows one tree of a boosting iteration, best leaf first (Ke 2017, LightGBM), on gradients and hessians of the loss
 * (Chen 2016): the tree that scikit-learn's HistGradientBoostingClassifier grows where all columns are drawn, but for
 * cuts that gain nothing. A histogram is filled for the smaller child only, the larger one is what the parent leaves
 * over; zeros are never visited, their bin is what the others leave over. Nodes with few rows for the bins have sorted
 * lists (boost-lists.ts).
 */
export function boostTree(shared: BoostedData, setup: BoostingSetup, job: BoostJob): BoostedTree {
  const { data, seed, maxBins } = shared
  const { x, rows: height, cols, codes } = data
  const stride = cutStride(height, maxBins)
  const { l2, minRows, maxLeaves, maxDepth } = setup
  const first = job.tree * height
  const gradient = setup.gradient.subarray(first, first + height)
  const hessian = setup.hessian.subarray(first, first + height)
  const drawn = drawColumns(cols, setup.tried, createRandom(seed).fork(`${job.iteration}/${job.tree}`))
  const rows = Int32Array.from(setup.train)
  const scratch = new Int32Array(rows.length)
  const nodes = new NodeList(1)
  const { most, lists, histograms } = searchesFor(shared, setup)
  lists.begin(gradient, hessian, drawn)
  histograms.begin(gradient, hessian, drawn)

  const newLeaf = (node: number, from: number, n: number, depth: number): Leaf => {
    let sumG = 0
    let sumH = 0
    for (let k = from; k < from + n; k++) {
      sumG += gradient[rows[k]!]!
      sumH += hessian[rows[k]!]!
    }
    // As in scikit-learn a root is not charged with what it scores undivided: it decides between cuts that are each
    // other's mirror.
    const own = depth === 0 ? 0 : -worthOf(sumG, sumH + l2)
    return {
      node,
      from,
      n,
      depth,
      gradient: sumG,
      hessian: sumH,
      own,
      histogram: undefined,
      gain: 0,
      column: 0,
      code: 0,
    }
  }
  const isLarge = ({ n }: Leaf): boolean => n >= most
  const splittable = (leaf: Leaf): boolean =>
    leaf.n >= 2 * minRows && leaf.depth < maxDepth && leaf.hessian >= 2 * minHessian
  /** Searches a leaf on its own. */
  const judge = (leaf: Leaf): void => {
    if (isLarge(leaf)) leaf.histogram ??= histograms.fill(rows, leaf.from, leaf.n)
    if (leaf.histogram) histograms.judge(leaf, leaf.histogram)
    else lists.start(leaf, rows)
  }

  const leaves: Leaf[] = [newLeaf(nodes.add(), 0, rows.length, 0)]
  const root = leaves[0]!
  if (splittable(root)) judge(root)
  const splits: { column: number; gain: number }[] = []
  while (leaves.length < maxLeaves) {
    let at = 0
    for (let k = 1; k < leaves.length; k++) if (leaves[k]!.gain > leaves[at]!.gain) at = k
    const leaf = leaves[at]!
    if (leaf.gain <= 0) break
    const column = drawn[leaf.column]!
    splits.push({ column, gain: leaf.gain - leaf.own - worthOf(leaf.gradient, leaf.hessian + l2) })
    let middle = leaf.from
    let right = 0
    for (let k = leaf.from; k < leaf.from + leaf.n; k++) {
      const row = rows[k]!
      if (codes[column * height + row]! <= leaf.code) rows[middle++] = row
      else scratch[right++] = row
    }
    rows.set(scratch.subarray(0, right), middle)
    const children = nodes.split(leaf.node, column, setup.cuts[column * stride + leaf.code]!)
    const left = newLeaf(children.left, leaf.from, middle - leaf.from, leaf.depth + 1)
    const other = newLeaf(children.right, middle, right, leaf.depth + 1)
    // The last two leaves are not looked at: nothing will divide them.
    if (leaves.length + 1 < maxLeaves) {
      if (leaf.lists)
        lists.split(
          leaf.lists,
          rows,
          { node: left, wanted: splittable(left) },
          { node: other, wanted: splittable(other) },
        )
      else {
        const [small, large] = left.n <= other.n ? [left, other] : [other, left]
        if (leaf.histogram && isLarge(large) && splittable(large)) {
          small.histogram = histograms.fill(rows, small.from, small.n)
          histograms.subtract(leaf.histogram, small.histogram)
          large.histogram = leaf.histogram
          leaf.histogram = undefined
        }
        for (const child of [small, large]) if (splittable(child)) judge(child)
      }
    }
    for (const node of [leaf, left, other]) {
      if (!node.histogram || (node !== leaf && isLarge(node) && splittable(node))) continue
      histograms.free(node.histogram)
      node.histogram = undefined
    }
    leaves[at] = left
    leaves.push(other)
  }
  for (const { histogram } of leaves) if (histogram) histograms.free(histogram)
  for (const leaf of leaves) {
    // A tree without a cut adds nothing, as in scikit-learn: no smallest hessian holds for a root, and the step of one
    // whose few wrong rows have hessians near 0 would be endless, for all rows at once.
    const value = splits.length === 0 ? 0 : (-leaf.gradient / (leaf.hessian + l2 + tiny)) * setup.rate
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
