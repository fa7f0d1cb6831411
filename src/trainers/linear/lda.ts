import { throwIfAborted } from '../../base/errors.js'
import type { FitContext, Model, Trainer, TrainingSet } from '../contract.js'
import { uncollectedBytes } from '../linalg/gemm.js'
import { classCovariance } from './class-covariance.js'
import { LinearModel } from './model.js'
import { directColumns, solveRidge } from './solvers/ridge-system.js'

async function fit(set: TrainingSet, { params, threads, signal, onProgress }: FitContext): Promise<Model> {
  const pause = (): void => throwIfAborted(signal, 'Training')
  pause()
  const asked = params.get('shrinkage') as number | 'auto'
  const { cols, rows } = set.x
  const classes = set.classes.length
  const { z, ridge, means, priors, shrinkage } = await classCovariance(set, asked, threads, pause)
  onProgress?.(0.1)
  // Measured from the mean of all rows: the same probabilities, far less rounding.
  const middle = new Float64Array(cols)
  for (let c = 0; c < classes; c++) for (let j = 0; j < cols; j++) middle[j]! += priors[c]! * means[c * cols + j]!
  const sides = means.map((v, at) => v - middle[at % cols]!)
  const { w, steps } = await solveRidge({ z: { data: z, rows, cols }, ridge, threads }, sides, (fraction) => {
    pause()
    onProgress?.(0.1 + 0.89 * fraction)
  })
  const bias = new Float32Array(classes)
  for (let c = 0; c < classes; c++) {
    let own = 0
    let shift = 0
    for (let j = 0, at = c * cols; j < cols; j++, at++) {
      own += sides[at]! * w[at]!
      shift += middle[j]! * w[at]!
    }
    bias[c] = Math.log(priors[c]!) - own / 2 - shift
  }
  onProgress?.(1)
  return new LinearModel({
    weights: Float32Array.from(w),
    bias,
    softmax: true,
    facts: { shrinkage, solver: steps === 0 ? 'Cholesky' : 'conjugate gradients', iterations: steps },
  })
}

/**
 * Linear discriminants with one shrunk covariance for all classes: scikit-learn's LinearDiscriminantAnalysis with
 * solver `lsqr`, priors from the rows. The covariance is never written out above 256 columns, so memory is one copy of
 * the rows. A column that is constant inside a class has scale 1 there, as in scikit-learn.
 */
export const lda: Trainer = {
  id: 'lda',
  title: 'Linear discriminants',
  summary: 'Normal classes of one shrunk covariance; a baseline with probabilities and no tuning.',
  defaultPreprocess: 'none',
  params: [
    {
      name: 'shrinkage',
      type: 'number-or-word',
      default: 'auto',
      words: ['auto'],
      min: 1e-4,
      max: 1,
      grid: ['auto', 0.01, 0.1, 0.5],
      help: 'how far the covariance is drawn towards a diagonal one; auto as Ledoit and Wolf estimate it',
    },
  ],
  estimatedBytes({ rows, cols, counts }) {
    const largest = counts.reduce((most, n) => Math.max(most, n), 0)
    // The centred rows; a block of their inner products; means and the vectors of the conjugate gradients; or the
    // system itself.
    const products = largest > cols ? 4 * cols * cols : 4 * Math.min(largest, 1024) * largest
    const system =
      cols <= directColumns
        ? 8 * cols * cols
        : 60 * counts.length * cols + uncollectedBytes(counts.length * (8 * cols + 4 * rows))
    return 4 * rows * cols + 24 * counts.length * cols + Math.max(products, system)
  },
  fit,
  load: LinearModel.load,
}
