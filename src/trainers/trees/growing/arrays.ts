/** One tree: node 0 is the root, children follow their parent. A leaf has feature -1 and a row of `values`. */
export interface TreeNodes {
  readonly feature: Int32Array
  /** Left if `x <= threshold`, both float32. */
  readonly threshold: Float32Array
  readonly left: Int32Array
  readonly right: Int32Array
  /**
   * A leaf's row of `values`, else -1. With several outputs the first rows are those of leaves that are all of one
   * class, row c for class c, which is nearly all of them in fully grown trees: a forest on a hundred classes would
   * need hundreds of megabytes otherwise. A single tree leaves these rows out of its `values`, a forest has them once.
   */
  readonly leaf: Int32Array
  /** `[leaves, outputs]`: class shares of a classification tree, one number of a boosted one. */
  readonly values: Float32Array
}

/** All trees in one set of arrays; nodes and leaves are numbered through the whole ensemble. */
export interface Forest extends TreeNodes {
  /** First node of every tree, ascending. */
  readonly roots: Int32Array
}

/**
 * Joins trees.
 *
 * @param outputs numbers of a leaf
 */
export function joinTrees(trees: readonly TreeNodes[], outputs: number): Forest {
  const nodes = trees.reduce((sum, tree) => sum + tree.feature.length, 0)
  const forest = {
    roots: new Int32Array(trees.length),
    feature: new Int32Array(nodes),
    threshold: new Float32Array(nodes),
    left: new Int32Array(nodes),
    right: new Int32Array(nodes),
    leaf: new Int32Array(nodes),
  }
  const shared = outputs > 1 ? outputs : 0
  const values = new Float32Array(shared * outputs + trees.reduce((sum, tree) => sum + tree.values.length, 0))
  for (let c = 0; c < shared; c++) values[c * outputs + c] = 1
  let node = 0
  let used = shared * outputs
  trees.forEach((tree, t) => {
    forest.roots[t] = node
    forest.feature.set(tree.feature, node)
    forest.threshold.set(tree.threshold, node)
    values.set(tree.values, used)
    const before = used / outputs - shared
    for (let i = 0; i < tree.feature.length; i++) {
      const row = tree.leaf[i]!
      forest.left[node + i] = row >= 0 ? -1 : tree.left[i]! + node
      forest.right[node + i] = row >= 0 ? -1 : tree.right[i]! + node
      forest.leaf[node + i] = row < shared ? row : row + before
    }
    node += tree.feature.length
    used += tree.values.length
  })
  return { ...forest, values }
}

/** The row of `values` that a row of `x` beginning at `at` falls to. */
export function leafOf(tree: TreeNodes, root: number, x: Float32Array, at: number): number {
  const { feature, threshold, left, right } = tree
  let node = root
  for (let f = feature[node]!; f >= 0; f = feature[node]!)
    node = x[at + f]! <= threshold[node]! ? left[node]! : right[node]!
  return tree.leaf[node]!
}

/** Rows walked through one tree before the next: its nodes stay in the cache, and so do the rows. */
export const rowsTogether = 64
