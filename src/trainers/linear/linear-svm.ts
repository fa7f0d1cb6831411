import type { FitContext, Matrix, Model, Trainer, TrainingSet } from '../contract.js'
import { ordinary } from '../linalg/gemm.js'
import { number, text } from '../params.js'
import { chooseSolver, countEntries, type SvmLoss, type SvmSolver } from './choice.js'
import { LinearModel, twoColumns } from './model.js'
import { type DualFit, dualCoordinateDescent, type LinearFit } from './solvers/dual-coordinate-descent.js'
import { dualOnGram } from './solvers/gram-dual.js'
import { squaredHinge } from './solvers/margin-losses.js'
import { type SolveOptions, solveLinear, warmStart } from './solvers/margin-solver.js'
import { descentBytes, gramDualBytes, primalBytes } from './solvers/memory.js'
import { primalSpace } from './solvers/space.js'

type SvmOptions = Pick<SolveOptions, 'tolerance' | 'maxIterations' | 'signal' | 'onProgress'>

interface Problem {
  readonly x: Matrix
  readonly y: Int32Array
  readonly cost: Float64Array
  readonly columns: number
  readonly loss: SvmLoss
}

/** What a machine found, and how. */
interface Found extends LinearFit {
  readonly solver: string
}

type Machine = (problem: Problem, context: FitContext, options: SvmOptions) => Promise<Found>

/** The dual's coefficients of an earlier fit of these rows, if one was left. */
const dualStart = ({ x, columns }: Problem, { warm }: FitContext): { readonly start?: Float64Array | undefined } =>
  warm?.solution?.length === columns * x.rows ? { start: warm.solution } : {}

/** The dual's coefficients of these rows: a regularisation path goes on from them. */
function leave({ warm }: FitContext, found: DualFit, solver: SvmSolver): Found {
  if (warm) warm.solution = found.combination
  return { ...found, solver }
}

/**
 * Passes that descent on sparse rows gets. Rows that no machine tells apart take it thousands where C is large; L-BFGS
 * goes on from there, which does not mind.
 */
const maxPasses = 300

const descend: Machine = async (problem, context, options) => {
  const { x, y, cost, columns, loss } = problem
  const canGoOn = loss === 'squared_hinge'
  const passes = canGoOn ? Math.min(maxPasses, options.maxIterations) : options.maxIterations
  const found = await dualCoordinateDescent(x, y, cost, columns, {
    ...options,
    ...dualStart(problem, context),
    maxIterations: passes,
    loss,
    seed: context.seed,
  })
  if (found.converged || passes === options.maxIterations) return leave(context, found, 'dual coordinate descent')
  const start = new Float64Array(columns * (x.cols + 1))
  for (let k = 0; k < columns; k++) {
    start.set(found.weights.subarray(k * x.cols, (k + 1) * x.cols), k * (x.cols + 1))
    start[(k + 1) * (x.cols + 1) - 1] = found.bias[k]!
  }
  const rest = { ...options, maxIterations: options.maxIterations - passes }
  const end = await quasiNewton(problem, { ...context, warm: { solution: start } }, rest)
  return { ...end, solver: `dual coordinate descent, then ${end.solver}`, iterations: passes + end.iterations }
}

const onGram: Machine = async (problem, context, options) => {
  const { x, y, cost, columns, loss } = problem
  const start = dualStart(problem, context)
  const found = await dualOnGram(x, y, cost, columns, { ...options, ...start, loss, threads: context.threads })
  return leave(context, found, 'dual coordinate descent on the Gram matrix')
}

const quasiNewton: Machine = async ({ x, y, cost, columns }, { threads, warm }, options) => {
  const loss = squaredHinge(y, columns, cost)
  const space = await primalSpace(x, { columns, penaliseBias: true, threads, order: loss.order })
  const solution = await solveLinear(space, loss, { ...options, ...warmStart(warm, space, loss), penaliseBias: true })
  if (warm) warm.solution = solution.w
  const { iterations, converged } = solution
  const objective = solution.objective.reduce((a, b) => a + b, 0)
  return { ...(await space.weights(solution.w)), solver: 'L-BFGS', iterations, objective, converged }
}

const machines: Readonly<Record<SvmSolver, Machine>> = {
  'dual coordinate descent': descend,
  'dual coordinate descent on the Gram matrix': onGram,
  'L-BFGS': quasiNewton,
}

async function fit(set: TrainingSet, context: FitContext): Promise<Model> {
  const { params } = context
  const classes = set.classes.length
  const columns = classes === 2 ? 1 : classes
  const c = number(params, 'C')
  const cost = Float64Array.from({ length: set.x.rows }, (_, i) => c * (set.weights?.[i] ?? 1))
  const x = ordinary(set.x)
  const options: SvmOptions = {
    tolerance: number(params, 'tol'),
    maxIterations: number(params, 'max_iter'),
    signal: context.signal,
    onProgress: context.onProgress,
  }
  const loss = text(params, 'loss') as SvmLoss
  const chosen = chooseSolver(loss, { ...x, columns, entries: countEntries(x) / x.rows })
  const found = await machines[chosen]({ x, y: set.y, cost, columns, loss }, context, options)
  const facts = {
    solver: found.solver,
    iterations: found.iterations,
    objective: found.objective,
    converged: found.converged ? 'yes' : 'no',
  }
  const wide =
    classes === 2
      ? twoColumns(found.weights, found.bias, true)
      : { weights: found.weights, bias: Float32Array.from(found.bias) }
  return new LinearModel({ ...wide, softmax: false, facts })
}

/**
 * Linear support vector machine, one against the rest, with LinearSVC's objective: ½‖w‖² + ½b² + C Σ loss, the bias
 * being penalised as liblinear does it (intercept_scaling = 1). `objective` is the sum over the classes.
 */
export const linearSvm: Trainer = {
  id: 'linear-svm',
  title: 'Linear SVM',
  summary: 'L2-regularised linear support vector machine, one against the rest; the usual choice on embeddings.',
  defaultPreprocess: 'l2',
  params: [
    {
      name: 'C',
      type: 'number',
      default: 1,
      min: 1e-9,
      max: 1e9,
      log: true,
      grid: [0.01, 0.1, 1, 10, 100],
      help: 'weight of the loss against ½‖w‖²; larger fits closer',
    },
    {
      name: 'loss',
      type: 'choice',
      default: 'squared_hinge',
      choices: ['squared_hinge', 'hinge'],
      help: 'what a row inside the margin costs',
    },
    {
      name: 'tol',
      type: 'number',
      default: 1e-5,
      min: 1e-10,
      max: 1,
      help: 'relative distance from the best objective, about, at which to stop',
    },
    { name: 'max_iter', type: 'integer', default: 1000, min: 1, max: 100_000, help: 'most passes of the solver' },
  ],
  estimatedBytes({ rows, cols, counts, entries }, params) {
    const columns = counts.length === 2 ? 1 : counts.length
    const size = { rows, cols, columns, entries }
    const loss = text(params, 'loss') as SvmLoss
    switch (chooseSolver(loss, size)) {
      case 'dual coordinate descent on the Gram matrix':
        return gramDualBytes(size)
      case 'dual coordinate descent':
        // L-BFGS may go on, once the sparse rows are released.
        return loss === 'hinge' ? descentBytes(size) : Math.max(descentBytes(size), primalBytes(size))
      case 'L-BFGS':
        return primalBytes(size)
    }
  },
  fit,
  load: LinearModel.load,
}
