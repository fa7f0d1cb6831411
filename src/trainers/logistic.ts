import type { FitContext, Model, Trainer, TrainingSet } from './contract.js'
import { ordinary } from './gemm.js'
import { LinearModel, twoColumns } from './linear-model.js'
import { solveLinear, warmStart } from './linear-solver.js'
import { gramSpace, prefersGram, primalSpace } from './linear-space.js'
import { binaryLogistic, softmaxLoss } from './margin-losses.js'
import { number } from './params.js'

async function fit(set: TrainingSet, context: FitContext): Promise<Model> {
  const { params, threads } = context
  const classes = set.classes.length
  const c = number(params, 'c')
  const cost = Float64Array.from({ length: set.x.rows }, (_, i) => c * (set.weights?.[i] ?? 1))
  const loss = classes === 2 ? binaryLogistic(set.y, cost) : softmaxLoss(set.y, classes, cost)
  const x = ordinary(set.x)
  const spaceOptions = { columns: loss.columns, penaliseBias: false, threads, order: loss.order }
  const space = prefersGram(x.rows, x.cols, loss.columns)
    ? await gramSpace(x, spaceOptions)
    : await primalSpace(x, spaceOptions)
  const { w, objective, iterations, converged } = await solveLinear(space, loss, {
    tolerance: number(params, 'tolerance'),
    maxIterations: number(params, 'iterations'),
    penaliseBias: false,
    ...warmStart(context.warm, space, loss),
    ...(context.signal ? { signal: context.signal } : {}),
    ...(context.onProgress ? { onProgress: context.onProgress } : {}),
  })
  if (context.warm) context.warm.solution = w
  const found = await space.weights(w)
  const wide =
    classes === 2
      ? twoColumns(found.weights, found.bias, false)
      : { weights: found.weights, bias: Float32Array.from(found.bias) }
  return new LinearModel({
    ...wide,
    softmax: true,
    facts: { iterations, objective: objective[0]!, converged: converged ? 'yes' : 'no' },
  })
}

/** Multinomial logistic regression with an L2 penalty and a free bias: scikit-learn's LogisticRegression objective. */
export const logistic: Trainer = {
  id: 'logistic',
  title: 'Logistic regression',
  summary: 'Multinomial logistic regression, L2, fitted by L-BFGS; gives probabilities.',
  defaultPreprocess: 'l2',
  params: [
    {
      name: 'c',
      type: 'number',
      default: 10,
      min: 1e-9,
      max: 1e9,
      log: true,
      grid: [0.1, 1, 10, 100, 1000],
      help: 'weight of the loss against ½‖w‖²; larger fits closer',
    },
    {
      name: 'tolerance',
      type: 'number',
      default: 1e-5,
      min: 1e-10,
      max: 1,
      help: 'relative distance from the best objective, about, at which to stop',
    },
    { name: 'iterations', type: 'integer', default: 1000, min: 1, max: 100_000, help: 'most steps of L-BFGS' },
  ],
  fit,
  load: LinearModel.load,
}
