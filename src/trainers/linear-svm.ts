import type { FitContext, Matrix, Model, Trainer, TrainingSet } from './contract.js'
import { ordinary } from './gemm.js'
import { dualCoordinateDescent, type LinearFit } from './linear/dcd.js'
import { dualOnGram, gramPays } from './linear/gram-dual.js'
import { squaredHinge } from './linear/margin-losses.js'
import { LinearModel, twoColumns } from './linear/model.js'
import { type SolveOptions, solveLinear, warmStart } from './linear/solver.js'
import { prefersGram, primalSpace } from './linear/space.js'
import { number, text } from './params.js'

const dualDescent = 'dual coordinate descent'
const onGram = `${dualDescent} on the Gram matrix`

type SvmOptions = Pick<SolveOptions, 'tolerance' | 'maxIterations' | 'signal' | 'onProgress'>

interface Found extends LinearFit {
  readonly solver: string
}

type Machine = (
  x: Matrix,
  y: Int32Array,
  cost: Float64Array,
  columns: number,
  context: FitContext,
  options: SvmOptions,
) => Promise<Found>

const hingeMachine: Machine = async (x, y, cost, columns, { threads, seed }, options) =>
  gramPays(x.rows, x.cols)
    ? { ...(await dualOnGram(x, y, cost, columns, { ...options, loss: 'hinge', threads })), solver: onGram }
    : {
        ...(await dualCoordinateDescent(x, y, cost, columns, { ...options, loss: 'hinge', seed })),
        solver: dualDescent,
      }

const squaredHingeMachine: Machine = async (x, y, cost, columns, { threads, warm }, options) => {
  const few = prefersGram(x.rows, x.cols, columns)
  const loss = squaredHinge(y, columns, cost)
  if (few) {
    const start = warm?.solution?.length === columns * x.rows ? { start: warm.solution } : {}
    const dual = await dualOnGram(x, y, cost, columns, { ...options, ...start, loss: 'squared-hinge', threads })
    if (warm) warm.solution = dual.combination
    return { ...dual, solver: onGram }
  }
  const space = await primalSpace(x, { columns, penaliseBias: true, threads, order: loss.order })
  const solution = await solveLinear(space, loss, {
    ...options,
    ...warmStart(warm, space, loss),
    penaliseBias: true,
  })
  if (warm) warm.solution = solution.w
  const { iterations, converged } = solution
  const objective = solution.objective.reduce((a, b) => a + b, 0)
  return { ...(await space.weights(solution.w)), solver: 'L-BFGS', iterations, objective, converged }
}

async function fit(set: TrainingSet, context: FitContext): Promise<Model> {
  const { params } = context
  const classes = set.classes.length
  const columns = classes === 2 ? 1 : classes
  const c = number(params, 'c')
  const cost = Float64Array.from({ length: set.x.rows }, (_, i) => c * (set.weights?.[i] ?? 1))
  const x = ordinary(set.x)
  const options: SvmOptions = {
    tolerance: number(params, 'tolerance'),
    maxIterations: number(params, 'iterations'),
    ...(context.signal ? { signal: context.signal } : {}),
    ...(context.onProgress ? { onProgress: context.onProgress } : {}),
  }
  const solver = text(params, 'loss') === 'hinge' ? hingeMachine : squaredHingeMachine
  const found = await solver(x, set.y, cost, columns, context, options)
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
 * Linear support vector machine, one against the rest, with LinearSVC's objective: ½‖w‖² + ½b² + C Σ loss, the bias being
 * penalised as liblinear does it (intercept_scaling = 1). `objective` is the sum over the classes.
 */
export const linearSvm: Trainer = {
  id: 'linear-svm',
  title: 'Linear SVM',
  summary: 'L2-regularised linear support vector machine, one against the rest; the usual choice on embeddings.',
  defaultPreprocess: 'l2',
  params: [
    {
      name: 'c',
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
      default: 'squared-hinge',
      choices: ['squared-hinge', 'hinge'],
      help: 'what a row inside the margin costs',
    },
    {
      name: 'tolerance',
      type: 'number',
      default: 1e-5,
      min: 1e-10,
      max: 1,
      help: 'relative distance from the best objective, about, at which to stop',
    },
    { name: 'iterations', type: 'integer', default: 1000, min: 1, max: 100_000, help: 'most passes of the solver' },
  ],
  fit,
  load: LinearModel.load,
}
