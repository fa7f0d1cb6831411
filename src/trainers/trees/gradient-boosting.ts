import { z } from 'zod'
import { throwIfAborted } from '../../base/errors.js'
import type { OnnxWriter } from '../../onnx/classifier-writer.js'
import type { FitContext, Matrix, Model, ModelState, Params, Trainer, TrainingSet } from '../contract.js'
import { innerSplit } from '../inner-split.js'
import { number, text } from '../params.js'
import { factsSchema, readConfig, readTensor, tensorOf } from '../state.js'
import { cutStride } from './bins/quantile-bins.js'
import type { BoostedTree } from './boosting/boosting.js'
import { BoostLosses } from './boosting/losses.js'
import { checkTreeSize, columnJobs, poolBytes, treeData } from './data.js'
import { type Forest, joinTrees, leafOf, rowsTogether } from './growing/arrays.js'
import { treesOnnx } from './onnx-form.js'
import { openPool, type PoolPlan, planPool, shared } from './pool.js'
import { forestTensors, readForest } from './saved.js'

/** Above so many rows early stopping is on unless asked otherwise, as in scikit-learn. */
const rowsForEarlyStopping = 10_000
/** Columns drawn for a tree when nothing is said: all up to here, and this many beyond. */
const usualColumns = 512
/** A held-out loss must fall by this much to count as better; scikit-learn's `tol`. */
const lossTolerance = 1e-7

/** Raw scores `[rows, classes]` to probabilities in place. With two classes the first one's raw score is 0. */
function softmax(raw: Float64Array, classes: number, out: Float32Array): void {
  for (let at = 0; at < raw.length; at += classes) {
    let top = Number.NEGATIVE_INFINITY
    for (let c = 0; c < classes; c++) top = Math.max(top, raw[at + c]!)
    let sum = 0
    for (let c = 0; c < classes; c++) {
      const e = Math.exp(raw[at + c]! - top)
      raw[at + c] = e
      sum += e
    }
    for (let c = 0; c < classes; c++) out[at + c] = raw[at + c]! / sum
  }
}

export class BoostedModel implements Model {
  readonly scoreKind = 'probability'

  readonly #forest: Forest

  /** `[classes]`, log shares of the classes. */
  readonly #base: Float32Array
  /** `[cols]`, sums to 1: gain of every column's splits. */
  readonly importance: Float64Array
  readonly facts: Readonly<Record<string, number | string>>

  constructor(
    forest: Forest,
    base: Float32Array,
    importance: Float64Array,
    facts: Readonly<Record<string, number | string>>,
  ) {
    this.#forest = forest
    this.#base = base
    this.importance = importance
    this.facts = facts
  }

  /** Tree t adds to the score of this class: two classes need one tree an iteration. */
  #target(tree: number): number {
    return this.#base.length === 2 ? 1 : tree % this.#base.length
  }

  async scores(x: Matrix, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Float32Array> {
    const forest = this.#forest
    const base = this.#base
    const classes = base.length
    const raw = new Float64Array(x.rows * classes)
    for (let i = 0; i < raw.length; i++) raw[i] = base[i % classes]!
    for (let first = 0; first < x.rows; first += rowsTogether) {
      throwIfAborted(options.signal, 'Prediction')
      const end = Math.min(first + rowsTogether, x.rows)
      for (const [t, root] of forest.roots.entries()) {
        const c = this.#target(t)
        for (let i = first; i < end; i++)
          raw[i * classes + c]! += forest.values[leafOf(forest, root, x.data, i * x.cols)]!
      }
    }
    const out = new Float32Array(raw.length)
    softmax(raw, classes, out)
    return out
  }

  toOnnx(graph: OnnxWriter, x: string): string {
    const raw = treesOnnx(graph, x, this.#forest, {
      outputs: 1,
      targets: this.#base.length,
      targetOf: (tree) => this.#target(tree),
      aggregate: 'SUM',
      base: Array.from(this.#base),
    })
    return graph.add('Softmax', [raw], { axis: -1 })
  }

  save(): ModelState {
    return {
      config: { classes: this.#base.length, cols: this.importance.length, facts: this.facts },
      tensors: new Map([
        ...forestTensors(this.#forest, 1),
        ['base', tensorOf([this.#base.length], this.#base)],
        ['importance', tensorOf([this.importance.length], this.importance)],
      ]),
    }
  }

  static load(state: ModelState): Model {
    const schema = z.object({ classes: z.int().min(2), cols: z.int().min(1), facts: factsSchema })
    const { classes, cols, facts } = readConfig(state, schema)
    const base = readTensor(state, 'base', 'float32', [classes])
    const importance = readTensor(state, 'importance', 'float64', [cols])
    return new BoostedModel(readForest(state, 1, cols), base, importance, facts)
  }
}

/** Fewest rows of a leaf when nothing is said: with more than a class has, no leaf could tell it from the others. */
const usualLeaf = (rows: number, classes: number): number =>
  Math.max(1, Math.min(20, Math.floor(rows / Math.max(30, classes))))

/** Columns drawn for a tree. */
const drawnColumns = (params: Params, cols: number): number => {
  const asked = number(params, 'max_features')
  return asked > 0 ? Math.max(1, Math.round(asked * cols)) : Math.min(cols, usualColumns)
}

/** Who grows the trees of an iteration, one a class. */
function boostPool(rows: number, cols: number, perIteration: number, threads: number, params: Params): PoolPlan {
  const ofTree = drawnColumns(params, cols) * (rows * 2 + number(params, 'max_bins') * 20)
  const visits = rows * cols + number(params, 'max_iter') * perIteration * ofTree
  return planPool(Math.min(threads, Math.max(perIteration, 2)), visits, ofTree)
}

async function fit(set: TrainingSet, context: FitContext): Promise<Model> {
  const { params, seed, threads, signal, onProgress } = context
  const { rows, cols } = set.x
  const stopping = text(params, 'early_stopping')
  const stops = stopping === 'true' || (stopping === 'auto' && rows > rowsForEarlyStopping)
  const { train, held } = innerSplit(set, stops ? number(params, 'validation_fraction') : 0, seed)
  const iterations = number(params, 'max_iter')
  const tried = drawnColumns(params, cols)
  const losses = new BoostLosses(set)
  const maxBins = number(params, 'max_bins')
  const boosting = {
    gradient: losses.gradient,
    hessian: losses.hessian,
    scores: losses.scores,
    cuts: shared.float32(cols * cutStride(rows, maxBins)),
    train,
    held,
    rate: number(params, 'learning_rate'),
    l2: number(params, 'l2_regularization'),
    maxLeaves: number(params, 'max_leaf_nodes'),
    maxDepth: number(params, 'max_depth') || Number.POSITIVE_INFINITY,
    minRows: number(params, 'min_samples_leaf') || usualLeaf(rows, set.classes.length),
    tried,
  }
  const plan = boostPool(rows, cols, losses.perIteration, threads, params)
  const table = treeData(set, 'bytes', plan.workers > 0)
  const setup = { ...table.setup, maxBins, seed, boosting }
  const { perIteration } = losses
  const pool = openPool(setup, plan, signal)
  try {
    table.load()
    await pool.run(columnJobs(cols, threads), () => {})
    const trees: BoostedTree[] = []
    const judged = held.length > 0 ? held : train
    let best = { loss: losses.update(judged), iteration: 0 }
    let loss = best.loss
    for (let iteration = 0; iteration < iterations; iteration++) {
      const grown: BoostedTree[] = new Array(perIteration)
      await pool.run(
        Array.from({ length: perIteration }, (_, tree) => ({ kind: 'boost', iteration, tree })),
        (result, index) => {
          grown[index] = result as BoostedTree
        },
      )
      trees.push(...grown)
      loss = losses.update(judged)
      onProgress?.((iteration + 1) / iterations)
      if (loss < best.loss - lossTolerance) best = { loss, iteration: iteration + 1 }
      else if (held.length > 0 && iteration + 1 - best.iteration >= number(params, 'n_iter_no_change')) break
      // Nothing left to split anywhere: more trees would say the same.
      if (grown.every(({ feature }) => feature.length === 1)) break
    }
    const kept = held.length > 0 ? Math.max(1, best.iteration) * perIteration : trees.length
    return finish(trees.slice(0, kept), losses.base, cols, {
      iterations: kept / perIteration,
      trees: kept,
      ...(held.length > 0 ? { heldRows: held.length, heldLoss: best.loss } : { trainLoss: loss }),
    })
  } finally {
    await pool.close()
  }
}

function finish(
  trees: readonly BoostedTree[],
  base: Float32Array,
  cols: number,
  facts: Readonly<Record<string, number>>,
): BoostedModel {
  const importance = new Float64Array(cols)
  for (const { splitColumns, splitGains } of trees)
    splitColumns.forEach((column, k) => {
      importance[column]! += splitGains[k]!
    })
  const sum = importance.reduce((a, b) => a + b, 0)
  if (sum > 0) for (let f = 0; f < cols; f++) importance[f]! /= sum
  const nodes = trees.reduce((total, tree) => total + tree.feature.length, 0)
  return new BoostedModel(joinTrees(trees, 1), base, importance, { ...facts, nodes })
}

/**
 * Histogram gradient boosting. With the same bins, leaves and iterations, all columns drawn and no rows held back, its
 * trees are those of scikit-learn's HistGradientBoostingClassifier, unless there are weights, which here do not move
 * the bins and have a mean of 1, or more than 200,000 rows, of which scikit-learn draws some to find the bins.
 *
 * Trees of one iteration, one a class, grow side by side on the threads; with two classes there is one tree an
 * iteration, and one thread works. Memory besides the rows: a byte for each value, four for each bin of a column, a
 * copy of the rows where several threads share them, 16 bytes for each row and class, and for every thread a histogram
 * of 24 bytes a bin and drawn column for each leaf that has at least four rows a bin and 2,048 rows, and up to five
 * bytes for each value of smaller leaves in drawn columns, but no more than 128 MB, with 16 bytes for each such leaf
 * and drawn column.
 */
export const gradientBoosting: Trainer = {
  id: 'gradient-boosting',
  title: 'Gradient boosting',
  summary: 'Histogram gradient-boosted trees, grown best leaf first, with L2, shrinkage and drawn features (Ke 2017).',
  defaultPreprocess: 'none',
  params: [
    {
      name: 'max_iter',
      type: 'integer',
      default: 100,
      min: 1,
      max: 10_000,
      grid: [100, 300],
      help: 'most iterations, each with a tree for every class',
    },
    {
      name: 'learning_rate',
      type: 'number',
      default: 0.1,
      min: 1e-4,
      max: 1,
      log: true,
      grid: [0.03, 0.1, 0.3],
      help: 'shrinkage of every tree',
    },
    {
      name: 'max_leaf_nodes',
      type: 'integer',
      default: 31,
      min: 2,
      max: 1024,
      grid: [15, 31],
      help: 'most leaves of a tree',
    },
    { name: 'max_depth', type: 'integer', default: 0, min: 0, max: 100, help: 'deepest level, 0 for no limit' },
    {
      name: 'min_samples_leaf',
      type: 'integer',
      default: 0,
      min: 0,
      max: 100_000,
      help: 'fewest rows in a leaf, 0 for the mean of a class or a thirtieth of the rows, from 1 to 20 ',
    },
    {
      name: 'l2_regularization',
      type: 'number',
      default: 0,
      min: 0,
      max: 1e6,
      grid: [0, 1],
      help: 'weight of squared leaf values',
    },
    {
      name: 'max_features',
      type: 'number',
      default: 0,
      min: 0,
      max: 1,
      help: 'share of the features drawn for each tree, 0 for at most 512 of them',
    },
    { name: 'max_bins', type: 'integer', default: 64, min: 2, max: 256, help: 'most bins of a feature' },
    {
      name: 'early_stopping',
      type: 'choice',
      default: 'auto',
      choices: ['auto', 'true', 'false'],
      help: 'early stopping on held-back rows; auto: with more than 10000 rows',
    },
    {
      name: 'validation_fraction',
      type: 'number',
      default: 0.1,
      min: 0.01,
      max: 0.5,
      help: 'share of the rows held back for early stopping',
    },
    {
      name: 'n_iter_no_change',
      type: 'integer',
      default: 10,
      min: 1,
      max: 10_000,
      help: 'iterations without a better held-out loss after which it stops',
    },
  ],
  checkSize: checkTreeSize,
  estimatedBytes(size, params) {
    const { rows, cols, counts, threads } = size
    const perIteration = counts.length === 2 ? 1 : counts.length
    const plan = boostPool(rows, cols, perIteration, threads, params)
    const [bins, leaves] = [number(params, 'max_bins'), number(params, 'max_leaf_nodes')]
    // Two histograms of every leaf that is large enough for one.
    const large = Math.min(leaves, Math.floor(rows / Math.max(2048, 4 * bins)))
    const histograms = 2 * large * 24 * bins * drawnColumns(params, cols)
    const lists = Math.min(128 * 2 ** 20, 5 * rows * cols)
    const workers = plan.workers + (plan.helps ? 1 : 0)
    const nodes = 2 * 28 * 2 * leaves * number(params, 'max_iter') * perIteration
    return (
      rows * cols +
      poolBytes(size, plan) +
      24 * rows * perIteration +
      workers * (histograms + lists + 60 * rows) +
      nodes
    )
  },
  fit,
  load: BoostedModel.load,
}
