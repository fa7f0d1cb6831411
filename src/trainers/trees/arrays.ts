/** One tree: node 0 is the root, children follow their parent. A leaf has feature -1 and a row of `values`. */
export interface TreeNodes {
  readonly feature: Int32Array
  /** Left if `x <= threshold`, both float32. */
  readonly threshold: Float32Array
  readonly left: Int32Array
  readonly right: Int32Array
  /** A leaf's row of `values`, else -1. */
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
 * Joins trees. Rows of `values` that are all of one class are kept once (row c for class c), which is nearly all of them in fully
 * grown trees: a forest on a hundred classes would need hundreds of megabytes otherwise.
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
  const isShared = (values: Float32Array, row: number): number => {
    if (shared === 0) return -1
    for (let c = 0; c < outputs; c++) if (values[row * outputs + c] === 1) return c
    return -1
  }
  let mixed = 0
  for (const { values } of trees)
    for (let row = 0; row * outputs < values.length; row++) if (isShared(values, row) < 0) mixed++
  const values = new Float32Array((shared + mixed) * outputs)
  for (let c = 0; c < shared; c++) values[c * outputs + c] = 1
  let node = 0
  let leaf = shared
  trees.forEach((tree, t) => {
    forest.roots[t] = node
    forest.feature.set(tree.feature, node)
    forest.threshold.set(tree.threshold, node)
    for (let i = 0; i < tree.feature.length; i++) {
      const row = tree.leaf[i]!
      forest.left[node + i] = row >= 0 ? -1 : tree.left[i]! + node
      forest.right[node + i] = row >= 0 ? -1 : tree.right[i]! + node
      if (row < 0) forest.leaf[node + i] = -1
      else {
        const same = isShared(tree.values, row)
        if (same < 0) values.set(tree.values.subarray(row * outputs, (row + 1) * outputs), leaf * outputs)
        forest.leaf[node + i] = same >= 0 ? same : leaf++
      }
    }
    node += tree.feature.length
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
