import type { TrainingSet } from '../../contract.js'
import { shared } from '../pool.js'

/** Loss, gradients and hessians of one iteration. Arrays are `[trees of an iteration, rows]`. */
export class BoostLosses {
  readonly scores: Float64Array
  readonly gradient: Float32Array
  readonly hessian: Float32Array
  readonly perIteration: number
  readonly base: Float32Array
  readonly #weights: Float64Array

  readonly #set: TrainingSet

  constructor(set: TrainingSet) {
    this.#set = set

    const { rows } = set.x
    const classes = set.classes.length
    this.perIteration = classes === 2 ? 1 : classes
    const weights = set.weights ?? new Float64Array(rows).fill(1)
    const total = weights.reduce((a, b) => a + b, 0)
    // A mean weight of 1 keeps what `l2` and the smallest hessian mean.
    this.#weights = weights.map((w) => (w * rows) / total)
    const share = new Float64Array(classes)
    for (let i = 0; i < rows; i++) share[set.y[i]!]! += this.#weights[i]! / rows
    const base = classes === 2 ? [0, Math.log(share[1]! / share[0]!)] : Array.from(share, (s) => Math.log(s))
    this.base = Float32Array.from(base)
    const size = this.perIteration * rows
    this.scores = shared.float64(size)
    this.gradient = shared.float32(size)
    this.hessian = shared.float32(size)
    for (let k = 0; k < this.perIteration; k++) this.scores.fill(base[classes === 2 ? 1 : k]!, k * rows, (k + 1) * rows)
  }

  /** Gradients of all rows; returns the mean loss of the rows asked for. */
  update(judged: Int32Array): number {
    const weights = this.#weights
    const set = this.#set
    const { scores, gradient, hessian, perIteration } = this
    const { rows } = set.x
    const losses = new Float64Array(rows)
    const p = new Float64Array(Math.max(2, perIteration))
    for (let i = 0; i < rows; i++) {
      let top = perIteration === 1 ? 0 : Number.NEGATIVE_INFINITY
      for (let k = 0; k < perIteration; k++) top = Math.max(top, scores[k * rows + i]!)
      let sum = perIteration === 1 ? Math.exp(-top) : 0
      for (let k = 0; k < perIteration; k++) {
        p[k] = Math.exp(scores[k * rows + i]! - top)
        sum += p[k]!
      }
      const label = set.y[i]!
      const w = weights[i]!
      for (let k = 0; k < perIteration; k++) {
        const share = p[k]! / sum
        const truth = perIteration === 1 ? label : label === k ? 1 : 0
        gradient[k * rows + i] = w * (share - truth)
        hessian[k * rows + i] = w * share * (1 - share)
      }
      const own = perIteration === 1 ? (label === 1 ? p[0]! : sum - p[0]!) : p[label]!
      losses[i] = -w * Math.log(Math.max(own / sum, 1e-300))
    }
    let loss = 0
    let total = 0
    for (const row of judged) {
      loss += losses[row]!
      total += weights[row]!
    }
    return loss / total
  }
}
