import type { FitContext, Matrix, Model, Trainer, TrainingSet } from '../contract.js'
import { ordinary } from '../linalg/gemm.js'
import { number } from '../params.js'
import { LinearModel, twoColumns } from './model.js'
import { binaryLogistic, softmaxLoss } from './solvers/margin-losses.js'
import { type SolveOptions, solveLinear, warmStart } from './solvers/margin-solver.js'
import { gramSpaceBytes, primalBytes } from './solvers/memory.js'
import { minimise } from './solvers/smooth-solver.js'
import { passesBytes, softmaxObjective } from './solvers/softmax-objective.js'
import { gramSpace, prefersGram, primalSpace } from './solvers/space.js'

async function fit(set: TrainingSet, context: FitContext): Promise<Model> {
  const { params, warm } = context
  const classes = set.classes.length
  const c = number(params, 'C')
  const cost = Float64Array.from({ length: set.x.rows }, (_, i) => c * (set.weights?.[i] ?? 1))
  const x = ordinary(set.x)
  const options = {
    tolerance: number(params, 'tol'),
    maxIterations: number(params, 'max_iter'),
    signal: context.signal,
    onProgress: context.onProgress,
    penaliseBias: false,
  }
  const { solution, weights, bias, facts } =
    classes === 2 || prefersGram(x.rows, x.cols, classes)
      ? await fitByMargins(x, set.y, classes, cost, context, options)
      : await fitByPasses(x, set.y, classes, cost, context, options)
  if (warm) warm.solution = solution
  const wide = classes === 2 ? twoColumns(weights, bias, false) : { weights, bias: Float32Array.from(bias) }
  return new LinearModel({ ...wide, softmax: true, facts })
}

interface Fitted {
  readonly solution: Float64Array
  readonly weights: Float32Array
  readonly bias: Float64Array
  readonly facts: Readonly<Record<string, number | string>>
}

type Fit = (
  x: Matrix,
  y: Int32Array,
  classes: number,
  cost: Float64Array,
  context: FitContext,
  options: SolveOptions,
) => Promise<Fitted>

/** Two classes, or few rows: margins are kept, and a line search costs nothing. */
const fitByMargins: Fit = async (x, y, classes, cost, { threads, warm }, options) => {
  const loss = classes === 2 ? binaryLogistic(y, cost) : softmaxLoss(y, classes, cost)
  const spaceOptions = { columns: loss.columns, penaliseBias: false, threads, order: loss.order }
  const space = prefersGram(x.rows, x.cols, loss.columns)
    ? await gramSpace(x, spaceOptions)
    : await primalSpace(x, spaceOptions)
  const { w, objective, iterations, converged } = await solveLinear(space, loss, {
    ...options,
    ...warmStart(warm, space, loss),
  })
  const facts = { iterations, objective: objective[0]!, converged: converged ? 'yes' : 'no' }
  return { solution: w, ...(await space.weights(w)), facts }
}

/** Many rows: an evaluation is one run of onnxruntime, and no scores leave it. */
const fitByPasses: Fit = async (x, y, classes, cost, { threads, warm }, options) => {
  const problem = await softmaxObjective(x, y, classes, cost, threads)
  const start = warm?.solution?.length === problem.size ? warm.solution : undefined
  const { point, objective, iterations, evaluations, converged } = await minimise(problem, { ...options, start })
  return {
    solution: point,
    weights: Float32Array.from(point.subarray(0, problem.penalised)),
    bias: problem.bias(point),
    facts: { iterations, evaluations, objective, converged: converged ? 'yes' : 'no' },
  }
}

/** Multinomial logistic regression with an L2 penalty and a free bias: scikit-learn's LogisticRegression objective. */
export const logistic: Trainer = {
  id: 'logistic',
  title: 'Logistic regression',
  summary: 'Multinomial logistic regression, L2, fitted by L-BFGS; gives probabilities.',
  defaultPreprocess: 'l2',
  params: [
    {
      name: 'C',
      type: 'number',
      default: 10,
      min: 1e-9,
      max: 1e9,
      log: true,
      grid: [0.1, 1, 10, 100, 1000],
      help: 'weight of the loss against ½‖w‖²; larger fits closer',
    },
    {
      name: 'tol',
      type: 'number',
      default: 1e-5,
      min: 1e-10,
      max: 1,
      help: 'relative distance from the best objective, about, at which to stop',
    },
    { name: 'max_iter', type: 'integer', default: 1000, min: 1, max: 100_000, help: 'most steps of L-BFGS' },
  ],
  estimatedBytes({ rows, cols, counts, entries }) {
    const columns = counts.length === 2 ? 1 : counts.length
    const size = { rows, cols, columns, entries }
    if (prefersGram(rows, cols, columns)) return gramSpaceBytes(size)
    return columns === 1 ? primalBytes(size) : passesBytes(rows, cols, columns)
  },
  fit,
  load: LinearModel.load,
}
