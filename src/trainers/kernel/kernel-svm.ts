import { createRandom } from '../../base/random.js'
import type { FitContext, Model, ParamSpec, Trainer, TrainingSet } from '../contract.js'
import { pickRows } from '../linalg/gemm.js'
import { flag, number, text } from '../params.js'
import { columnMeans, gammaScale, type Kernel, kernelRows } from './functions.js'
import { KernelSvmModel } from './model.js'
import { fitPairs } from './pairs.js'
import { pairIndex } from './pairwise.js'
import { planKernels } from './plan.js'
import type { PairResult } from './solve-pair.js'

/** Held-out folds for the sigmoids, as in libsvm. */
const sigmoidFolds = 5

function kernelOf(set: TrainingSet, { params }: FitContext): Kernel {
  const gamma = params.get('gamma')!
  return {
    kind: text(params, 'kernel') as Kernel['kind'],
    gamma: gamma === 'scale' ? gammaScale(set.x) : gamma === 'auto' ? 1 / set.x.cols : (gamma as number),
    coef0: number(params, 'coef0'),
    degree: number(params, 'degree'),
  }
}

async function fit(set: TrainingSet, context: FitContext): Promise<Model> {
  const { params, threads, signal, onProgress } = context
  const kernel = kernelOf(set, context)
  const classes = set.classes.length
  const { order, starts } = byClass(set.y, classes)
  const c = number(params, 'C')
  const probability = flag(params, 'probability')
  const iterations = number(params, 'max_iter')
  const counts = Array.from({ length: classes }, (_, k) => starts[k + 1]! - starts[k]!)
  const plan = planKernels(counts, number(params, 'cache_size') * 2 ** 20)
  const results = await fitPairs({
    rows: kernelRows(set.x, kernel, columnMeans(set.x), order),
    starts,
    cost: Float64Array.from(order, (i) => c * (set.weights?.[i] ?? 1)),
    fold: probability ? dealFolds(set, order, starts, context.seed) : new Uint8Array(order.length),
    kernel,
    plan,
    settings: {
      tolerance: number(params, 'tol'),
      maxIterations: iterations === 0 ? Number.POSITIVE_INFINITY : iterations,
      shrinking: flag(params, 'shrinking'),
      folds: probability ? sigmoidFolds : 0,
    },
    threads,
    signal,
    onProgress,
  })
  return assemble(set, kernel, order, starts, results, plan.mode)
}

/** Rows of one class together, in their own order. */
function byClass(y: Int32Array, classes: number): { order: Int32Array; starts: Int32Array } {
  const starts = new Int32Array(classes + 1)
  for (const label of y) starts[label + 1]!++
  for (let c = 0; c < classes; c++) starts[c + 1]! += starts[c]!
  const next = starts.slice()
  const order = new Int32Array(y.length)
  for (let i = 0; i < y.length; i++) order[next[y[i]!]!++] = i
  return { order, starts }
}

/** A fold for every row (in `order`), dealt out class by class; a group stays in one fold. */
function dealFolds(set: TrainingSet, order: Int32Array, starts: Int32Array, seed: number): Uint8Array {
  const random = createRandom(seed).fork('sigmoid-folds')
  const fold = new Uint8Array(order.length)
  const ofGroup = new Map<string, number>()
  let next = 0
  for (let c = 0; c + 1 < starts.length; c++) {
    const places = Array.from({ length: starts[c + 1]! - starts[c]! }, (_, k) => starts[c]! + k)
    for (const place of random.shuffled(places)) {
      const group = set.groups?.[order[place]!]
      const known = group == null ? undefined : ofGroup.get(group)
      fold[place] = known ?? next++ % sigmoidFolds
      if (group != null && known === undefined) ofGroup.set(group, fold[place]!)
    }
  }
  return fold
}

/** Gathers the pairs' machines over the support vectors that any of them uses. */
function assemble(
  set: TrainingSet,
  kernel: Kernel,
  order: Int32Array,
  starts: Int32Array,
  results: readonly PairResult[],
  mode: string,
): Model {
  const classes = starts.length - 1
  const used = new Uint8Array(order.length)
  const eachPair = (visit: (result: PairResult, a: number, b: number) => void): void => {
    for (let a = 0; a < classes; a++)
      for (let b = a + 1; b < classes; b++) visit(results[pairIndex(a, b, classes)]!, a, b)
  }
  const place = (k: number, a: number, b: number): number => {
    const na = starts[a + 1]! - starts[a]!
    return k < na ? starts[a]! + k : starts[b]! + k - na
  }
  eachPair(({ coefficients }, a, b) => {
    for (let k = 0; k < coefficients.length; k++) if (coefficients[k] !== 0) used[place(k, a, b)] = 1
  })
  const kept = Int32Array.from([...used.keys()].filter((i) => used[i]))
  const column = new Int32Array(order.length)
  const counts = new Int32Array(classes)
  for (const [k, i] of kept.entries()) {
    column[i] = k
    counts[set.y[order[i]!]!]!++
  }
  const coefficients = new Float32Array((classes - 1) * kept.length)
  eachPair((result, a, b) => {
    const na = starts[a + 1]! - starts[a]!
    for (let k = 0; k < result.coefficients.length; k++) {
      const value = result.coefficients[k]!
      // Class a's vectors keep their machine against b in row b − 1, class b's theirs against a in row a.
      if (value !== 0) coefficients[(k < na ? b - 1 : a) * kept.length + column[place(k, a, b)]!] = value
    }
  })
  const sum = (of: (result: PairResult) => number): number => results.reduce((total, result) => total + of(result), 0)
  const sigmoids = results[0]!.sigmoid
    ? Float64Array.from(results.flatMap((r) => [...r.sigmoid!]))
    : new Float64Array(0)
  return new KernelSvmModel({
    kernel,
    supports: pickRows(
      set.x,
      kept.map((i) => order[i]!),
    ),
    counts,
    coefficients,
    bias: Float64Array.from(results, (r) => r.bias),
    sigmoids,
    facts: {
      'support vectors': kept.length,
      gamma: kernel.gamma,
      objective: sum((r) => r.objective),
      iterations: sum((r) => r.iterations),
      converged: results.every((r) => r.converged) ? 'yes' : 'no',
      kernel: mode,
    },
  })
}

const params: readonly ParamSpec[] = [
  {
    name: 'C',
    type: 'number',
    default: 1,
    min: 1e-9,
    max: 1e9,
    log: true,
    grid: [0.1, 1, 10, 100],
    help: 'largest weight of one row; larger fits closer',
  },
  {
    name: 'kernel',
    type: 'choice',
    default: 'rbf',
    choices: ['rbf', 'poly', 'linear', 'cosine'],
    help: 'rbf exp(-gamma |u-v|^2), poly (gamma u.v + coef0)^degree, linear u.v, cosine',
  },
  {
    name: 'gamma',
    type: 'number-or-word',
    default: 'scale',
    words: ['scale', 'auto'],
    min: 1e-12,
    max: 1e12,
    log: true,
    grid: ['scale'],
    help: 'width of rbf and poly; scale is 1 / (columns x variance), auto 1 / columns',
  },
  { name: 'degree', type: 'integer', default: 3, min: 1, max: 20, help: 'power of the poly kernel' },
  { name: 'coef0', type: 'number', default: 0, min: -1e6, max: 1e6, help: 'constant of the poly kernel' },
  {
    name: 'probability',
    type: 'boolean',
    default: false,
    help:
      'probabilities instead of votes, by sigmoids fitted on five held-out folds of each pair (about five times ' +
      'the time)',
  },
  {
    name: 'tol',
    type: 'number',
    default: 1e-3,
    min: 1e-8,
    max: 1,
    help: 'violation of optimality at which to stop',
  },
  { name: 'shrinking', type: 'boolean', default: true, help: 'put settled rows aside while solving' },
  {
    name: 'cache_size',
    type: 'number',
    default: 1000,
    min: 1,
    max: 1e6,
    help: 'most MB of kernel values held at once; a pair that needs more keeps the rows used last',
  },
  { name: 'max_iter', type: 'integer', default: 0, min: 0, max: 1e9, help: 'most steps a pair, 0 for no limit' },
]

/**
 * Support vector classifier with kernels, one against one, with libsvm's C-SVC problem, stopping rule, order of pairs
 * and probabilities (pairwise coupling of sigmoids). Scores without probabilities are scikit-learn's one-against-rest
 * decisions: votes, ties settled by the summed decisions. Kernel values are float32, as in libsvm.
 *
 * Memory: a prepared copy of the rows, kernel values of at most `cache` MB (the plan says how), and the support
 * vectors.
 */
export const kernelSvm: Trainer = {
  id: 'kernel-svm',
  title: 'Kernel SVM',
  summary: 'Support vector machine with an rbf, polynomial, linear or cosine kernel, one against one.',
  defaultPreprocess: 'l2',
  params,
  estimatedBytes({ rows, cols, counts }, params) {
    const plan = planKernels(counts, number(params, 'cache_size') * 2 ** 20)
    const pair = [...counts]
      .sort((a, b) => b - a)
      .slice(0, 2)
      .reduce((sum, n) => sum + n, 0)
    // The prepared rows, the support vectors, a pair's rows, what a product hands over, and a fold's kernel values.
    const ofPair = plan.mode === 'strips' || counts.length === 2 ? 0 : 4 * pair * cols
    const folds = flag(params, 'probability') && plan.mode !== 'rows' ? 4 * pair * pair : 0
    return 8 * rows * cols + plan.bytes + ofPair + folds + 32 * 2 ** 20
  },
  fit,
  load: KernelSvmModel.load,
}
