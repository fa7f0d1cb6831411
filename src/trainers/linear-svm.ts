import type { FitContext, Model, Trainer, TrainingSet } from './contract.js'
import { dualCoordinateDescent } from './dcd.js'
import { ordinary } from './gemm.js'
import { gramPays, hingeOnGram } from './gram-hinge.js'
import { LinearModel, twoColumns } from './linear-model.js'
import { solveLinear, warmStart } from './linear-solver.js'
import { gramSpace, prefersGram, primalSpace } from './linear-space.js'
import { squaredHinge } from './margin-losses.js'
import { number, text } from './params.js'

async function fit(set: TrainingSet, context: FitContext): Promise<Model> {
  const { params, threads } = context
  const classes = set.classes.length
  const columns = classes === 2 ? 1 : classes
  const c = number(params, 'c')
  const cost = Float64Array.from({ length: set.x.rows }, (_, i) => c * (set.weights?.[i] ?? 1))
  const x = ordinary(set.x)
  const common = {
    tolerance: number(params, 'tolerance'),
    maxIterations: number(params, 'iterations'),
    ...(context.signal ? { signal: context.signal } : {}),
    ...(context.onProgress ? { onProgress: context.onProgress } : {}),
  }
  let found: { weights: Float32Array; bias: Float64Array }
  let facts: Record<string, number | string>
  if (text(params, 'loss') === 'hinge') {
    const gram = gramPays(x.rows, x.cols)
    const result = gram
      ? await hingeOnGram(x, set.y, cost, columns, { ...common, threads })
      : dualCoordinateDescent(x, set.y, cost, columns, { ...common, loss: 'hinge', seed: context.seed })
    found = result
    facts = {
      solver: `dual coordinate descent${gram ? ' on the Gram matrix' : ''}`,
      iterations: result.iterations,
      objective: result.objective,
    }
  } else {
    const loss = squaredHinge(set.y, columns, cost)
    const spaceOptions = { columns, penaliseBias: true, threads, order: loss.order }
    const gram = prefersGram(x.rows, x.cols, columns)
    const space = gram ? await gramSpace(x, spaceOptions) : await primalSpace(x, spaceOptions)
    const solution = await solveLinear(space, loss, {
      ...common,
      ...warmStart(context.warm, space, loss),
      penaliseBias: true,
    })
    if (context.warm) context.warm.solution = solution.w
    found = await space.weights(solution.w)
    facts = {
      solver: gram ? 'L-BFGS on the Gram matrix' : 'L-BFGS',
      iterations: solution.iterations,
      objective: solution.objective.reduce((a, b) => a + b, 0),
      converged: solution.converged ? 'yes' : 'no',
    }
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
