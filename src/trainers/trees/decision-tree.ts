import { z } from 'zod'
import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import type { FitContext, Matrix, Model, ModelState, Trainer, TrainingSet } from '../contract.js'
import { number, text } from '../params.js'
import { factsSchema, readConfig, readTensor, tensorOf } from '../state.js'
import { checkTreeSize, columnJobs, poolBytes, treeData } from './data.js'
import { treeSvg, treeText } from './draw.js'
import { type Forest, joinTrees } from './growing/arrays.js'
import type { GrownTree } from './growing/classification.js'
import { type CountedTree, pruneTree } from './growing/prune.js'
import { openPool, type PoolPlan, planPool } from './pool.js'
import { ForestModel } from './random-forest.js'
import { readForest } from './saved.js'

type Criterion = 'gini' | 'entropy'

class TreeModel implements Model {
  readonly scoreKind = 'probability'
  readonly #inner: ForestModel

  readonly #forest: Forest
  /** `[nodes, classes]` weight of the training rows. */
  readonly #counts: Float64Array
  readonly #criterion: Criterion

  constructor(
    forest: Forest,
    counts: Float64Array,
    criterion: Criterion,
    importance: Float64Array,
    classes: number,
    readonly facts: Readonly<Record<string, number | string>>,
  ) {
    this.#forest = forest
    this.#counts = counts
    this.#criterion = criterion

    this.#inner = new ForestModel(forest, importance, classes, facts)
  }

  scores(x: Matrix, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Float32Array> {
    return this.#inner.scores(x, options)
  }

  toOnnx(graph: OnnxWriter, x: string): string {
    return this.#inner.toOnnx(graph, x)
  }

  files(classes: readonly string[]): ReadonlyMap<string, string> {
    const tree: CountedTree = { ...this.#forest, counts: this.#counts }
    const names = { classes, criterion: this.#criterion }
    return new Map([
      ['tree.txt', treeText(tree, names)],
      ['tree.svg', treeSvg(tree, names)],
    ])
  }

  save(): ModelState {
    const { config, tensors } = this.#inner.save()
    const classes = config.classes as number
    return {
      config: { ...config, criterion: this.#criterion },
      tensors: new Map([...tensors, ['counts', tensorOf([this.#counts.length / classes, classes], this.#counts)]]),
    }
  }

  static load(state: ModelState): Model {
    const schema = z.object({
      classes: z.int().min(2),
      cols: z.int().min(1),
      facts: factsSchema,
      criterion: z.enum(['gini', 'entropy']),
    })
    const { classes, cols, facts, criterion } = readConfig(state, schema)
    const forest = readForest(state, classes, cols)
    const counts = readTensor(state, 'counts', 'float64', [forest.feature.length, classes])
    return new TreeModel(forest, counts, criterion, readTensor(state, 'importance', 'float64', [cols]), classes, facts)
  }
}

/** Longest way from the root to a leaf. */
function depthOf({ feature, left, right }: GrownTree | CountedTree): number {
  const depth = new Int32Array(feature.length)
  let deepest = 0
  feature.forEach((f, node) => {
    deepest = Math.max(deepest, depth[node]!)
    if (f >= 0) depth[left[node]!] = depth[right[node]!] = depth[node]! + 1
  })
  return deepest
}

/** Who grows the tree. */
function treePool(rows: number, cols: number, threads: number): PoolPlan {
  const visits = rows * cols * Math.log2(rows + 1)
  return planPool(threads, visits, visits)
}

async function fit(set: TrainingSet, context: FitContext): Promise<Model> {
  const { params, seed, threads, signal, onProgress } = context
  const { rows, cols } = set.x
  const classes = set.classes.length
  const criterion = text(params, 'criterion') as Criterion
  const grow = {
    criterion,
    maxDepth: number(params, 'max_depth') || Number.POSITIVE_INFINITY,
    minRows: number(params, 'min_samples_leaf'),
  }
  const plan = treePool(rows, cols, threads)
  const table = treeData(set, 'words', plan.workers > 0)
  const setup = { ...table.setup, maxBins: 65_536, seed, bootstrap: false, grow }
  const pool = openPool(setup, plan, signal)
  try {
    table.load()
    await pool.run(columnJobs(cols, threads), () => {})
    let grown: GrownTree | undefined
    await pool.run([{ kind: 'tree', tree: 0 }], (result) => {
      grown = result as GrownTree
    })
    onProgress?.(1)
    const whole = { ...grown!, counts: grown!.counts! }
    const alpha = number(params, 'ccp_alpha')
    const tree = alpha > 0 ? pruneTree(whole, classes, criterion, alpha) : whole
    const facts = {
      leaves: tree.feature.reduce((sum, f) => sum + (f < 0 ? 1 : 0), 0),
      depth: depthOf(tree),
      ...(alpha > 0 ? { leavesBeforePruning: (whole.feature.length + 1) / 2 } : {}),
    }
    return new TreeModel(joinTrees([tree], classes), tree.counts, criterion, grown!.importance, classes, facts)
  } finally {
    await pool.close()
  }
}

/**
 * Thresholds are searched exactly while a column has at most 65,536 different values. Memory besides the rows: two
 * bytes for each value, and a copy of the rows where a thread of its own grows the tree, so that a long fit hears when
 * it should stop.
 */
export const decisionTree: Trainer = {
  id: 'decision-tree',
  title: 'Decision tree',
  summary: 'One tree of yes-or-no questions (CART, Breiman 1984), prunable; drawn as tree.svg and written as tree.txt.',
  defaultPreprocess: 'none',
  params: [
    { name: 'criterion', type: 'choice', default: 'gini', choices: ['gini', 'entropy'], help: 'measure of impurity' },
    {
      name: 'max_depth',
      type: 'integer',
      default: 0,
      min: 0,
      max: 1000,
      grid: [0, 4, 8],
      help: 'deepest level, 0 for no limit',
    },
    {
      name: 'min_samples_leaf',
      type: 'integer',
      default: 1,
      min: 1,
      max: 100_000,
      grid: [1, 5],
      help: 'fewest rows in a leaf',
    },
    {
      name: 'ccp_alpha',
      type: 'number',
      default: 0,
      min: 0,
      max: 1,
      grid: [0, 0.005, 0.02],
      help: 'impurity that each further leaf must take away, else it is pruned',
    },
  ],
  checkSize: checkTreeSize,
  estimatedBytes(size) {
    const { rows, cols, threads } = size
    return 2 * rows * cols + poolBytes(size, treePool(rows, cols, threads)) + 200 * rows + 5 * 2 ** 20
  },
  fit,
  load: TreeModel.load,
}
