import type { TreeNodes } from './arrays.js'
import { NodeList } from './growing.js'

/** A tree with the class weights of every node, `[nodes, classes]`. */
export interface CountedTree extends TreeNodes {
  readonly counts: Float64Array
}

/** Gini impurity or entropy in bits of one node. */
export function impurity(counts: Float64Array, criterion: 'gini' | 'entropy'): number {
  const total = counts.reduce((a, b) => a + b, 0)
  let sum = 0
  for (const w of counts) {
    const p = w / total
    if (criterion === 'gini') sum += p * p
    else if (p > 0) sum -= p * Math.log2(p)
  }
  return criterion === 'gini' ? 1 - sum : sum
}

/** Two costs of a subtree that differ by less are equal. */
const tolerance = 1e-12

/**
 * Minimal cost-complexity pruning (Breiman 1984, as scikit-learn's `ccp_alpha`): while the weakest subtree lowers the
 * impurity of the training rows by no more than `alpha` for each leaf it adds, it becomes a leaf.
 */
export function pruneTree(
  tree: CountedTree,
  classes: number,
  criterion: 'gini' | 'entropy',
  alpha: number,
): CountedTree {
  const { feature, left, right, counts } = tree
  const n = feature.length
  const of = (node: number): Float64Array => counts.subarray(node * classes, (node + 1) * classes)
  const weight = (node: number): number => of(node).reduce((a, b) => a + b, 0)
  const total = weight(0)
  const cost = Float64Array.from({ length: n }, (_, node) => (impurity(of(node), criterion) * weight(node)) / total)
  const isLeaf = Array.from(feature, (f) => f < 0)
  for (;;) {
    // Children follow their parent: from the last node on, both are known.
    const leaves = new Int32Array(n)
    const below = new Float64Array(n)
    for (let node = n - 1; node >= 0; node--) {
      leaves[node] = isLeaf[node] ? 1 : leaves[left[node]!]! + leaves[right[node]!]!
      below[node] = isLeaf[node] ? cost[node]! : below[left[node]!]! + below[right[node]!]!
    }
    let weakest = -1
    let least = Number.POSITIVE_INFINITY
    const reach = [0]
    for (let node = reach.pop(); node !== undefined; node = reach.pop()) {
      if (isLeaf[node]) continue
      const own = (cost[node]! - below[node]!) / (leaves[node]! - 1)
      if (own < least) {
        least = own
        weakest = node
      }
      reach.push(right[node]!, left[node]!)
    }
    if (weakest < 0 || least > alpha + tolerance) break
    isLeaf[weakest] = true
  }
  return keep(tree, classes, isLeaf)
}

/** The nodes that are reached when some have become leaves. */
function keep(tree: CountedTree, classes: number, isLeaf: readonly boolean[]): CountedTree {
  const nodes = new NodeList(classes)
  const counts: number[] = []
  const stack: [number, number][] = [[0, nodes.add()]]
  for (let next = stack.pop(); next; next = stack.pop()) {
    const [old, node] = next
    const own = tree.counts.subarray(old * classes, (old + 1) * classes)
    for (let c = 0; c < classes; c++) counts[node * classes + c] = own[c]!
    if (isLeaf[old]) {
      const total = own.reduce((a, b) => a + b, 0)
      const pure = own.indexOf(total)
      if (pure >= 0) nodes.fillPure(node, pure)
      else nodes.fill(node, own, 1 / total)
      continue
    }
    const { left, right } = nodes.split(node, tree.feature[old]!, tree.threshold[old]!)
    stack.push([tree.right[old]!, right], [tree.left[old]!, left])
  }
  return { ...nodes.finish(), counts: Float64Array.from(counts) }
}
