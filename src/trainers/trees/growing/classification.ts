import type { Random } from '../../../base/random.js'
import { type Criterion, scoreOf, sumOf } from '../criterion.js'
import type { TreeNodes } from './arrays.js'
import { NodeList } from './growing.js'
import type { NodeRows, TreeData } from './search.js'
import type { Cut } from './sweep.js'
import { WideSearch } from './wide-search.js'

export interface GrowOptions {
  readonly criterion: Criterion
  readonly maxDepth: number
  /** Fewest rows of a leaf. */
  readonly minRows: number
  /** Whether a forest's cuts are drawn (extra-trees) or the best. */
  readonly randomCuts?: boolean | undefined
}

export interface GrownTree extends TreeNodes {
  /** `[cols]` decrease of impurity by each column, summing to 1 (to 0 in a tree without a split). */
  readonly importance: Float64Array
  /** `[nodes, classes]` class weights, of a single tree: for pruning and printing. */
  readonly counts?: Float64Array | undefined
}

/** A side lighter than this share of a mean row is none: rows that weigh next to nothing are not learned by heart. */
export const leastWeight = 1e-3

/**
 * Grows one classification tree (Breiman 1984) by the best cuts of all columns; of equally good ones the first in an
 * order drawn at each node. A node is split as long as it is not pure, even by a cut that gains nothing. The threshold
 * lies halfway between the neighbouring values of the node's own rows.
 *
 * @param weights `[rows]`, 0 leaves a row out
 */
export function growClassificationTree(
  data: TreeData,
  weights: Float64Array,
  options: GrowOptions,
  random: Random,
): GrownTree {
  const { cols, classes, y } = data
  const { criterion, minRows } = options
  const nodes = new NodeList(classes)
  const rows = Int32Array.from(weights.keys()).filter((i) => weights[i]! > 0)
  const scratch = new Int32Array(rows.length)
  const importance = new Float64Array(cols)
  const kept: number[] = []
  let weight = 0
  for (const row of rows) weight += weights[row]!
  const minWeight = (leastWeight * weight) / rows.length
  const search = new WideSearch(data, { criterion, minRows, minWeight }, rows.length, random)
  const { y: own, w, counts } = search.buffers
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
  const stack = [{ id: nodes.add(), from: 0, n: rows.length, depth: 0 }]
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { id, from, n, depth } = next
    const pure = weigh(node, from, n, y, weights)
    for (let c = 0; c < classes; c++) kept[id * classes + c] = counts[c]!
    let cut: Cut | undefined
    if (!pure && depth < options.maxDepth && n >= 2 * minRows) {
      node.sum = criterion === 'gini' ? node.sum : sumOf(counts, criterion)
      cut = search.search(node)
    }
    if (cut && cut.feature >= 0) {
      importance[cut.feature]! += Math.max(0, cut.gain - scoreOf(node.sum, node.total, criterion))
      const { middle, threshold } = search.part(cut, node, scratch)
      const { left, right } = nodes.split(id, cut.feature, threshold)
      const below = depth + 1
      stack.push(
        { id: right, from: middle, n: from + n - middle, depth: below },
        { id: left, from, n: middle - from, depth: below },
      )
    } else if (pure) nodes.fillPure(id, node.y[0]!)
    else nodes.fill(id, counts, 1 / node.total)
    for (let k = 0; k < n; k++) counts[node.y[k]!] = 0
  }
  const sum = importance.reduce((a, b) => a + b, 0)
  if (sum > 0) for (let f = 0; f < cols; f++) importance[f]! /= sum
  return { ...nodes.finish(), importance, counts: Float64Array.from(kept) }
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
