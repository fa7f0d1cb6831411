import type { OnnxWriter } from '../../onnx/classifier-writer.js'

/** Trees as flat arrays; the nodes of one tree lie together, its root first. */
export interface TreeArrays {
  /** First node of every tree, ascending. */
  readonly roots: ArrayLike<number>
  /** Column that a node asks for, negative for a leaf. */
  readonly feature: ArrayLike<number>
  /** Left if `x <= threshold`, both float32. */
  readonly threshold: ArrayLike<number>
  /** Children, numbered as `feature` is. */
  readonly left: ArrayLike<number>
  readonly right: ArrayLike<number>
  /** A leaf's row of `values`. */
  readonly leaf: ArrayLike<number>
  /** `[leaves, outputs]`. */
  readonly values: ArrayLike<number>
}

/**
 * Adds the sum or mean over all trees of the leaves' values, as `TreeEnsembleRegressor` with one target an output: its
 * numbers come out as they are, where `TreeEnsembleClassifier` has ways of its own with two classes. Thresholds are
 * float32 on both sides, so a row takes the same way.
 *
 * @param options.outputs values of a leaf
 * @param options.targetOf where tree t adds its values: the first target (gradient boosting grows a tree for each
 * class, with one
 *   output); default 0
 * @returns the name of a float32 `[N, targets]` tensor
 */
export function treesOnnx(
  g: OnnxWriter,
  x: string,
  trees: TreeArrays,
  options: {
    readonly outputs: number
    readonly targets?: number | undefined
    readonly targetOf?: ((tree: number) => number) | undefined
    readonly aggregate: 'SUM' | 'AVERAGE'
    /** `[targets]`, added to the sum. */
    readonly base?: readonly number[] | undefined
  },
): string {
  const { outputs, targets = outputs, targetOf = () => 0 } = options
  const nodes = trees.feature.length
  const treeIds: number[] = new Array(nodes)
  const nodeIds: number[] = new Array(nodes)
  const features: number[] = new Array(nodes)
  const thresholds: number[] = new Array(nodes)
  const modes: string[] = new Array(nodes)
  const yes: number[] = new Array(nodes)
  const no: number[] = new Array(nodes)
  const target = { tree: [] as number[], node: [] as number[], id: [] as number[], weight: [] as number[] }
  for (let t = 0; t < trees.roots.length; t++) {
    const from = trees.roots[t]!
    const to = t + 1 < trees.roots.length ? trees.roots[t + 1]! : nodes
    const first = targetOf(t)
    for (let n = from; n < to; n++) {
      const isLeaf = trees.feature[n]! < 0
      treeIds[n] = t
      nodeIds[n] = n - from
      features[n] = isLeaf ? 0 : trees.feature[n]!
      thresholds[n] = isLeaf ? 0 : trees.threshold[n]!
      modes[n] = isLeaf ? 'LEAF' : 'BRANCH_LEQ'
      yes[n] = isLeaf ? 0 : trees.left[n]! - from
      no[n] = isLeaf ? 0 : trees.right[n]! - from
      if (!isLeaf) continue
      let written = 0
      for (let k = 0; k < outputs; k++) {
        const value = trees.values[trees.leaf[n]! * outputs + k]!
        // Zeros add nothing, but a leaf must have at least one value.
        if (value === 0 && (written > 0 || k + 1 < outputs)) continue
        target.tree.push(t)
        target.node.push(n - from)
        target.id.push(first + k)
        target.weight.push(value)
        written++
      }
    }
  }
  return g.ml('TreeEnsembleRegressor', [x], {
    nodes_treeids: treeIds,
    nodes_nodeids: nodeIds,
    nodes_featureids: features,
    nodes_values: { floats: thresholds },
    nodes_modes: modes,
    nodes_truenodeids: yes,
    nodes_falsenodeids: no,
    target_treeids: target.tree,
    target_nodeids: target.node,
    target_ids: target.id,
    target_weights: { floats: target.weight },
    n_targets: targets,
    aggregate_function: options.aggregate,
    ...(options.base ? { base_values: { floats: options.base } } : {}),
  })
}
