import { z } from 'zod'
import { throwIfAborted } from '../../base/errors.js'
import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import type {
  FitContext,
  FitSize,
  Matrix,
  Model,
  ModelState,
  ParamSpec,
  Params,
  Trainer,
  TrainingSet,
} from '../contract.js'
import { number, text } from '../params.js'
import { factsSchema, readConfig, readTensor, tensorOf } from '../state.js'
import { checkTreeSize, columnJobs, nodeBytes, poolBytes, treeData } from './data.js'
import { type Forest, joinTrees, leafOf, rowsTogether } from './growing/arrays.js'
import { treesOnnx } from './onnx-form.js'
import { openPool, planPool } from './pool.js'
import { forestTensors, readForest } from './saved.js'
import { checkForestSize, forestRoomBytes, openForestStorage, partsThatFit } from './wasm/forest/forest-arena.js'
import type { TreeResult } from './work.js'

const configSchema = z.object({ classes: z.int().min(2), cols: z.int().min(1), facts: factsSchema })

export class ForestModel implements Model {
  readonly scoreKind = 'probability'

  readonly #classes: number

  constructor(
    readonly forest: Forest,
    /** `[cols]`, sums to 1: mean decrease of impurity. */
    readonly importance: Float64Array,
    classes: number,
    readonly facts: Readonly<Record<string, number | string>>,
  ) {
    this.#classes = classes
  }

  async scores(x: Matrix, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Float32Array> {
    const classes = this.#classes
    const { forest } = this
    const { roots, values } = forest
    const out = new Float32Array(x.rows * classes)
    for (let first = 0; first < x.rows; first += rowsTogether) {
      throwIfAborted(options.signal, 'Prediction')
      const end = Math.min(first + rowsTogether, x.rows)
      for (const root of roots) {
        for (let i = first; i < end; i++) {
          const leaf = leafOf(forest, root, x.data, i * x.cols)
          // The first rows of `values` are those of pure leaves.
          if (leaf < classes) out[i * classes + leaf]!++
          else for (let c = 0; c < classes; c++) out[i * classes + c]! += values[leaf * classes + c]!
        }
      }
    }
    for (let i = 0; i < out.length; i++) out[i]! /= roots.length
    return out
  }

  toOnnx(graph: OnnxWriter, x: string): string {
    return treesOnnx(graph, x, this.forest, { outputs: this.#classes, aggregate: 'AVERAGE' })
  }

  save(): ModelState {
    return {
      config: { classes: this.#classes, cols: this.importance.length, facts: this.facts },
      tensors: new Map([
        ...forestTensors(this.forest, this.#classes),
        ['importance', tensorOf([this.importance.length], this.importance)],
      ]),
    }
  }
}

const sharedParams: readonly ParamSpec[] = [
  {
    name: 'n_estimators',
    type: 'integer',
    default: 100,
    min: 1,
    max: 10_000,
    grid: [100, 300],
    help: 'trees in the forest',
  },
  {
    name: 'max_features',
    type: 'choice',
    default: 'sqrt',
    choices: ['sqrt', 'log2', 'all'],
    grid: ['sqrt', 'log2'],
    help: 'features tried at a node',
  },
  { name: 'max_depth', type: 'integer', default: 0, min: 0, max: 1000, help: 'deepest level, 0 for no limit' },
  {
    name: 'min_samples_leaf',
    type: 'integer',
    default: 1,
    min: 1,
    max: 100_000,
    grid: [1, 3],
    help: 'fewest rows in a leaf',
  },
  { name: 'criterion', type: 'choice', default: 'gini', choices: ['gini', 'entropy'], help: 'measure of impurity' },
]

interface Kind {
  readonly bootstrap: boolean
  readonly randomCuts: boolean
}

/** Columns tried at a node. */
function triedColumns(wanted: string, cols: number): number {
  if (wanted === 'all') return cols
  return Math.max(1, Math.floor(wanted === 'sqrt' ? Math.sqrt(cols) : Math.log2(cols)))
}

/** Who grows a forest, and its storage's size. Threads whose parts have no space in a storage are not started. */
function planForest(rows: number, cols: number, classes: number, threads: number, params: Params) {
  const count = number(params, 'n_estimators')
  const tried = triedColumns(text(params, 'max_features'), cols)
  const ofTree = rows * tried * Math.log2(rows + 1)
  const plan = planPool(Math.min(threads, count), rows * cols + count * ofTree, ofTree)
  const size = { rows, cols, classes, tried }
  return { size, plan: { ...plan, workers: partsThatFit(size, plan.workers + 1) - 1 } }
}

async function fitForest(set: TrainingSet, context: FitContext, { bootstrap, randomCuts }: Kind): Promise<Model> {
  const { params, seed, threads, signal, onProgress } = context
  const { rows, cols } = set.x
  const count = number(params, 'n_estimators')
  const maxBins = 256
  const { size, plan } = planForest(rows, cols, set.classes.length, threads, params)
  const table = treeData(set, openForestStorage(size, plan.workers + 1), plan.workers > 0)
  const setup = {
    ...table.setup,
    maxBins,
    seed,
    bootstrap,
    grow: {
      criterion: text(params, 'criterion') as 'gini' | 'entropy',
      maxDepth: number(params, 'max_depth') || Number.POSITIVE_INFINITY,
      minRows: number(params, 'min_samples_leaf'),
      randomCuts,
    },
  }
  const pool = openPool(setup, plan, signal)
  try {
    table.load()
    await pool.run(columnJobs(cols, threads), () => {})
    const trees: TreeResult[] = new Array(count)
    let done = 0
    await pool.run(
      Array.from({ length: count }, (_, tree) => ({ kind: 'tree', tree })),
      (result, index) => {
        trees[index] = result as TreeResult
        onProgress?.(++done / count)
      },
    )
    return joinForest(trees, set, bootstrap)
  } finally {
    await pool.close()
  }
}

function joinForest(trees: readonly TreeResult[], { x, y, classes }: TrainingSet, bootstrap: boolean): ForestModel {
  const importance = new Float64Array(x.cols)
  for (const tree of trees) for (let f = 0; f < x.cols; f++) importance[f]! += tree.importance[f]!
  const sum = importance.reduce((total, value) => total + value, 0)
  if (sum > 0) for (let f = 0; f < importance.length; f++) importance[f]! /= sum
  const facts: Record<string, number | string> = {
    trees: trees.length,
    nodes: trees.reduce((total, tree) => total + tree.feature.length, 0),
  }
  if (bootstrap) facts['out-of-bag accuracy'] = outOfBagAccuracy(trees, y, classes.length)
  return new ForestModel(joinTrees(trees, classes.length), importance, classes.length, facts)
}

/** Share of rows right by the trees that did not see them; rows that all trees saw are left out. */
function outOfBagAccuracy(trees: readonly TreeResult[], y: Int32Array, classes: number): number {
  let right = 0
  let judged = 0
  const votes = new Float64Array(classes)
  y.forEach((label, i) => {
    votes.fill(0)
    let voters = 0
    for (const { outOfBag, values } of trees) {
      const leaf = outOfBag![i]!
      if (leaf < 0) continue
      voters++
      if (leaf < classes) votes[leaf]!++
      else for (let c = 0; c < classes; c++) votes[c]! += values[(leaf - classes) * classes + c]!
    }
    if (voters === 0) return
    judged++
    let most = 0
    for (let c = 1; c < classes; c++) if (votes[c]! > votes[most]!) most = c
    if (most === label) right++
  })
  return judged > 0 ? right / judged : 0
}

function loadForest(state: ModelState): Model {
  const { classes, cols, facts } = readConfig(state, configSchema)
  const importance = readTensor(state, 'importance', 'float64', [cols])
  return new ForestModel(readForest(state, classes, cols), importance, classes, facts)
}

function checkForest(rows: number, cols: number, classes: number): void {
  checkTreeSize(rows, cols)
  checkForestSize(rows, cols, classes)
}

/**
 * The storage with its parts for the threads, what these share, the trees, and for each of them the leaves of the rows
 * it did not see.
 */
function estimate({ rows, cols, counts, threads }: FitSize, params: Params): number {
  const { size, plan } = planForest(rows, cols, counts.length, threads, params)
  const trees = number(params, 'n_estimators')
  return forestRoomBytes(size, plan.workers + 1) + poolBytes(size, plan) + nodeBytes(rows, trees) + 4 * rows * trees
}

/**
 * Memory of a fit besides the rows: two bytes for each value (bins, column by column and row by row), two kilobytes for
 * each column, and for each thread a megabyte and 100 bytes for each row; a copy of the rows where several threads
 * share them; 20 bytes for each node of the trees.
 */
export const randomForest: Trainer = {
  id: 'random-forest',
  title: 'Random forest',
  summary:
    'Trees on bootstrap samples, the best of √D random features at each node (Breiman 2001); with out-of-bag accuracy.',
  params: sharedParams,
  defaultPreprocess: 'none',
  checkSize: checkForest,
  estimatedBytes: estimate,
  fit: (set, context) => fitForest(set, context, { bootstrap: true, randomCuts: false }),
  load: loadForest,
}

export const extraTrees: Trainer = {
  id: 'extra-trees',
  title: 'Extra trees',
  summary: 'Like a random forest on all rows, with one random cut for each feature tried (Geurts 2006).',
  params: sharedParams,
  defaultPreprocess: 'none',
  checkSize: checkForest,
  estimatedBytes: estimate,
  fit: (set, context) => fitForest(set, context, { bootstrap: false, randomCuts: true }),
  load: loadForest,
}
