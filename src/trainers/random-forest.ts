import { z } from 'zod'
import { throwIfAborted } from '../base/errors.js'
import { createRandom } from '../base/random.js'
import { binFeatures } from './binning.js'
import type { FitContext, Matrix, Model, ModelState, ParamSpec, Trainer, TrainingSet } from './contract.js'
import { treesOnnx } from './onnx/trees.js'
import type { OnnxWriter } from './onnx/writer.js'
import { number, text } from './params.js'
import { factsSchema, readConfig, readTensor, tensorOf } from './state.js'
import { type GrownTree, growTree } from './tree-grower.js'

const configSchema = z.object({ classes: z.int().min(2), cols: z.int().min(1), facts: factsSchema })

/** All trees in one set of arrays; children and leaves are numbered through the whole forest. */
interface Forest {
  readonly roots: Int32Array
  readonly feature: Int32Array
  readonly threshold: Float32Array
  readonly left: Int32Array
  readonly right: Int32Array
  readonly leaf: Int32Array
  /** `[leaves, classes]`. */
  readonly shares: Float32Array
}

function joinTrees(trees: readonly GrownTree[], classes: number): Forest {
  const nodes = trees.reduce((sum, tree) => sum + tree.feature.length, 0)
  const leaves = trees.reduce((sum, tree) => sum + tree.shares.length / classes, 0)
  const forest: Forest = {
    roots: new Int32Array(trees.length),
    feature: new Int32Array(nodes),
    threshold: new Float32Array(nodes),
    left: new Int32Array(nodes),
    right: new Int32Array(nodes),
    leaf: new Int32Array(nodes),
    shares: new Float32Array(leaves * classes),
  }
  let node = 0
  let leaf = 0
  trees.forEach((tree, t) => {
    forest.roots[t] = node
    const [firstNode, firstLeaf] = [node, leaf]
    forest.feature.set(tree.feature, node)
    forest.threshold.set(tree.threshold, node)
    tree.feature.forEach((_, i) => {
      forest.left[firstNode + i] = tree.left[i]! < 0 ? -1 : tree.left[i]! + firstNode
      forest.right[firstNode + i] = tree.right[i]! < 0 ? -1 : tree.right[i]! + firstNode
      forest.leaf[firstNode + i] = tree.leaf[i]! < 0 ? -1 : tree.leaf[i]! + firstLeaf
    })
    forest.shares.set(tree.shares, leaf * classes)
    node += tree.feature.length
    leaf += tree.shares.length / classes
  })
  return forest
}

/** The leaf that a row falls into. */
function leafOf(forest: Forest, root: number, row: Float32Array): number {
  let node = root
  for (let feature = forest.feature[node]!; feature >= 0; feature = forest.feature[node]!) {
    node = row[feature]! <= forest.threshold[node]! ? forest.left[node]! : forest.right[node]!
  }
  return forest.leaf[node]!
}

class ForestModel implements Model {
  readonly scoreKind = 'probability'

  constructor(
    private readonly forest: Forest,
    /** `[cols]`, sums to 1. */
    readonly importance: Float64Array,
    private readonly classes: number,
    readonly facts: Readonly<Record<string, number | string>>,
  ) {}

  async scores(x: Matrix, options: { readonly signal?: AbortSignal } = {}): Promise<Float32Array> {
    const { forest, classes } = this
    const out = new Float32Array(x.rows * classes)
    for (let i = 0; i < x.rows; i++) {
      if (i % 256 === 0) throwIfAborted(options.signal, 'Prediction')
      const row = x.data.subarray(i * x.cols, (i + 1) * x.cols)
      for (const root of forest.roots) {
        const leaf = leafOf(forest, root, row)
        for (let c = 0; c < classes; c++)
          out[i * classes + c]! += forest.shares[leaf * classes + c]! / forest.roots.length
      }
    }
    return out
  }

  toOnnx(graph: OnnxWriter, x: string): string {
    const trees = { ...this.forest, values: this.forest.shares }
    return treesOnnx(graph, x, trees, { outputs: this.classes, aggregate: 'AVERAGE' })
  }

  save(): ModelState {
    const { roots, feature, threshold, left, right, leaf, shares } = this.forest
    return {
      config: { classes: this.classes, cols: this.importance.length, facts: this.facts },
      tensors: new Map([
        ['roots', tensorOf([roots.length], roots)],
        ['feature', tensorOf([feature.length], feature)],
        ['threshold', tensorOf([threshold.length], threshold)],
        ['left', tensorOf([left.length], left)],
        ['right', tensorOf([right.length], right)],
        ['leaf', tensorOf([leaf.length], leaf)],
        ['shares', tensorOf([shares.length / this.classes, this.classes], shares)],
        ['importance', tensorOf([this.importance.length], this.importance)],
      ]),
    }
  }
}

/** A walk must end at a leaf that exists: children come after their parent, every number is in its range. */
function checkForest(forest: Forest, cols: number, leaves: number): void {
  const nodes = forest.feature.length
  const inside = (value: number, low: number, high: number): boolean => value >= low && value < high
  const sound =
    forest.roots.every((root) => inside(root, 0, nodes)) &&
    forest.feature.every((feature, i) =>
      feature < 0
        ? inside(forest.leaf[i]!, 0, leaves)
        : feature < cols && inside(forest.left[i]!, i + 1, nodes) && inside(forest.right[i]!, i + 1, nodes),
    )
  if (!sound) throw new RangeError('the trees point outside of themselves')
}

const sharedParams: readonly ParamSpec[] = [
  { name: 'trees', type: 'integer', default: 100, min: 1, max: 10_000, grid: [100, 300], help: 'trees in the forest' },
  {
    name: 'features',
    type: 'choice',
    default: 'sqrt',
    choices: ['sqrt', 'log2', 'all'],
    grid: ['sqrt', 'log2'],
    help: 'features tried at a node',
  },
  { name: 'depth', type: 'integer', default: 0, min: 0, max: 1000, help: 'deepest level, 0 for no limit' },
  { name: 'leaf', type: 'integer', default: 1, min: 1, max: 100_000, grid: [1, 3], help: 'fewest rows in a leaf' },
]

async function fitForest(
  set: TrainingSet,
  { params, seed, signal, onProgress }: FitContext,
  kind: { readonly bootstrap: boolean; readonly randomCuts: boolean },
): Promise<Model> {
  const { x, y } = set
  const classes = set.classes.length
  const binned = binFeatures(x)
  const count = number(params, 'trees')
  const wanted = text(params, 'features')
  const tried =
    wanted === 'all' ? x.cols : Math.max(1, Math.floor(wanted === 'sqrt' ? Math.sqrt(x.cols) : Math.log2(x.cols)))
  const options = {
    classes,
    tried,
    maxDepth: number(params, 'depth') || Number.POSITIVE_INFINITY,
    minLeafWeight: number(params, 'leaf'),
    randomCuts: kind.randomCuts,
  }
  const importance = new Float64Array(x.cols)
  const trees: GrownTree[] = []
  const outOfBag = new Float64Array(x.rows * classes)
  for (let t = 0; t < count; t++) {
    throwIfAborted(signal, 'Training')
    const random = createRandom(seed).fork(t)
    const drawn = new Float64Array(x.rows)
    if (kind.bootstrap) for (let i = 0; i < x.rows; i++) drawn[random.int(x.rows)]!++
    else drawn.fill(1)
    const weights = set.weights ? drawn.map((n, i) => n * set.weights![i]!) : drawn
    const tree = growTree(binned, y, weights, options, random, importance)
    trees.push(tree)
    if (kind.bootstrap) {
      const alone = joinTrees([tree], classes)
      for (let i = 0; i < x.rows; i++) {
        if (drawn[i] !== 0) continue
        const leaf = leafOf(alone, 0, x.data.subarray(i * x.cols, (i + 1) * x.cols))
        for (let c = 0; c < classes; c++) outOfBag[i * classes + c]! += alone.shares[leaf * classes + c]!
      }
    }
    onProgress?.((t + 1) / count)
    // The event loop gets a turn, so that a signal is heard.
    await new Promise((resolve) => setImmediate(resolve))
  }
  const sum = importance.reduce((total, value) => total + value, 0)
  if (sum > 0) for (let f = 0; f < importance.length; f++) importance[f]! /= sum
  const facts: Record<string, number | string> = {
    trees: count,
    nodes: trees.reduce((total, tree) => total + tree.feature.length, 0),
  }
  if (kind.bootstrap) facts['out-of-bag accuracy'] = outOfBagAccuracy(outOfBag, y, classes)
  return new ForestModel(joinTrees(trees, classes), importance, classes, facts)
}

/** Share of rows right by the trees that did not see them; rows that all trees saw are left out. */
function outOfBagAccuracy(votes: Float64Array, y: Int32Array, classes: number): number {
  let right = 0
  let judged = 0
  y.forEach((label, i) => {
    const row = votes.subarray(i * classes, (i + 1) * classes)
    const top = Math.max(...row)
    if (top === 0) return
    judged++
    if (row.indexOf(top) === label) right++
  })
  return judged > 0 ? right / judged : 0
}

function loadForest(state: ModelState): Model {
  const { classes, cols, facts } = readConfig(state, configSchema)
  const roots = readTensor(state, 'roots', 'int32', [-1])
  const feature = readTensor(state, 'feature', 'int32', [-1])
  const n = [feature.length]
  const shares = readTensor(state, 'shares', 'float32', [-1, classes])
  const forest: Forest = {
    roots,
    feature,
    threshold: readTensor(state, 'threshold', 'float32', n),
    left: readTensor(state, 'left', 'int32', n),
    right: readTensor(state, 'right', 'int32', n),
    leaf: readTensor(state, 'leaf', 'int32', n),
    shares,
  }
  checkForest(forest, cols, shares.length / classes)
  return new ForestModel(forest, readTensor(state, 'importance', 'float64', [cols]), classes, facts)
}

export const randomForest: Trainer = {
  id: 'random-forest',
  title: 'Random forest',
  summary:
    'Trees on bootstrap samples, the best of √D random features at each node (Breiman 2001); with out-of-bag accuracy.',
  params: sharedParams,
  defaultPreprocess: 'none',
  fit: (set, context) => fitForest(set, context, { bootstrap: true, randomCuts: false }),
  load: loadForest,
}

export const extraTrees: Trainer = {
  id: 'extra-trees',
  title: 'Extra trees',
  summary: 'Like a random forest on all rows, with one random cut for each feature tried (Geurts 2006).',
  params: sharedParams,
  defaultPreprocess: 'none',
  fit: (set, context) => fitForest(set, context, { bootstrap: false, randomCuts: true }),
  load: loadForest,
}
