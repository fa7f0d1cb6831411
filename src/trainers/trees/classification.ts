import type { Random } from '../../base/random.js'
import type { TreeNodes } from './arrays.js'
import { ByteSearch } from './byte-search.js'
import { NodeList, partByValue } from './growing.js'
import type { CutSearch, NodeRows, SearchOptions, TreeData } from './search.js'
import { type Criterion, type Cut, sumOf, worth } from './sweep.js'
import { WideSearch } from './wide-search.js'

export interface GrowOptions {
  readonly criterion: Criterion
  /** Columns drawn at each node. */
  readonly tried: number
  readonly maxDepth: number
  /** Fewest rows of a leaf. */
  readonly minRows: number
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
export const leastWeight = 1e-3

/**
 * Grows one classification tree (Breiman 1984). As in scikit-learn: `tried` columns are drawn at a
 * node, those that are constant there among them; only if all were constant it draws on. A node is split as long as it is not pure,
 * even by a cut that gains nothing. The threshold lies halfway between the neighbouring values of the node's own rows.
 *
 * @param weights `[rows]`, 0 leaves a row out
 * @param leaves `[rows]`; rows in which it is not -1 only walk along, and their leaf is written there
 */
export function growClassificationTree(
  data: TreeData,
  weights: Float64Array,
  options: GrowOptions,
  random: Random,
  leaves?: Int32Array,
): GrownTree {
  const { cols, classes, y } = data
  const { criterion, minRows } = options
  const nodes = new NodeList(classes)
  const rows = Int32Array.from(weights.keys()).filter((i) => weights[i]! > 0)
  const others = leaves ? Int32Array.from(leaves.keys()).filter((i) => leaves[i]! >= 0) : new Int32Array(0)
  const scratch = new Int32Array(Math.max(rows.length, others.length))
  const importance = new Float64Array(cols)
  const kept: number[] = []
  let weight = 0
  for (const row of rows) weight += weights[row]!
  const search = searchFor(data, rows.length, random, options, (leastWeight * weight) / rows.length)
  const { y: own, w, counts } = search.room
  const node: NodeRows = {
    y: own,
    w,
    counts,
    rows,
    from: 0,
    n: 0,
    total: 0,
    sum: 0,
  }
  const stack = [{ id: nodes.add(), from: 0, n: rows.length, depth: 0, aside: 0, others: others.length }]
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { id, from, n, depth } = next
    const pure = weigh(node, from, n, y, weights)
    if (options.keepCounts) for (let c = 0; c < classes; c++) kept[id * classes + c] = counts[c]!
    let cut: Cut | undefined
    if (!pure && depth < options.maxDepth && n >= 2 * minRows) {
      node.sum = criterion === 'gini' ? node.sum : sumOf(counts, criterion)
      cut = search.search(node)
    }
    if (cut && cut.feature >= 0) {
      importance[cut.feature]! += Math.max(0, cut.gain - worth(node.sum, node.total, criterion))
      const { middle, threshold } = search.part(cut, node, scratch)
      const aside = partByValue(data, cut.feature, threshold, others, next.aside, next.others, scratch)
      const { left, right } = nodes.split(id, cut.feature, threshold)
      const below = depth + 1
      stack.push(
        {
          id: right,
          from: middle,
          n: from + n - middle,
          depth: below,
          aside,
          others: next.aside + next.others - aside,
        },
        { id: left, from, n: middle - from, depth: below, aside: next.aside, others: aside - next.aside },
      )
    } else {
      if (pure) nodes.fillPure(id, node.y[0]!)
      else nodes.fill(id, counts, 1 / node.total)
      const leaf = nodes.leafOf(id)
      for (let k = next.aside; k < next.aside + next.others; k++) leaves![others[k]!] = leaf
    }
    for (let k = 0; k < n; k++) counts[node.y[k]!] = 0
  }
  const sum = importance.reduce((a, b) => a + b, 0)
  if (sum > 0) for (let f = 0; f < cols; f++) importance[f]! /= sum
  return { ...nodes.finish(), importance, ...(options.keepCounts ? { counts: Float64Array.from(kept) } : {}) }
}

function searchFor(
  data: TreeData,
  rows: number,
  random: Random,
  { criterion, tried, minRows }: GrowOptions,
  minWeight: number,
): CutSearch {
  const options: SearchOptions = { criterion, tried, minRows, minWeight }
  return data.codes.length > 0 ? new WideSearch(data, options, rows, random) : new ByteSearch(data, options, random)
}

/** Fills `node`, whose counts are 0, with the rows from `from`; true if they are all of one class. */
function weigh(node: NodeRows, from: number, n: number, y: Int32Array, weights: Float64Array): boolean {
  const { rows, counts } = node
  node.from = from
  node.n = n
  let total = 0
  let squares = 0
  let pure = true
  for (let k = 0; k < n; k++) {
    const row = rows[from + k]!
    const c = y[row]!
    const w = weights[row]!
    node.y[k] = c
    node.w[k] = w
    squares += w * (2 * counts[c]! + w)
    counts[c]! += w
    total += w
    if (c !== node.y[0]) pure = false
  }
  node.total = total
  node.sum = squares
  return pure
}
