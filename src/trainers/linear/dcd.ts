import { throwIfAborted } from '../../base/errors.js'
import { createRandom } from '../../base/random.js'
import type { Matrix } from '../contract.js'

export interface DcdOptions {
  readonly loss: 'hinge' | 'squared-hinge'
  /** Largest relative duality gap at which to stop. */
  readonly tolerance: number
  readonly maxIterations: number
  readonly seed: number
  readonly signal?: AbortSignal
  readonly onProgress?: (fraction: number) => void
}

/** What a solver of linear machines finds, one machine a column. */
export interface LinearFit {
  /** `[columns, cols]` */
  readonly weights: Float32Array
  readonly bias: Float64Array
  /** Summed over the columns. */
  readonly objective: number
  /** The most passes that any column took. */
  readonly iterations: number
  /** Whether every column's duality gap came below the tolerance. */
  readonly converged: boolean
}

/** Upper ends of the dual's variables, and the ridge of its diagonal: no upper end and 1 / (2 cost) for the squared hinge. */
export function dualBox(loss: DcdOptions['loss'], cost: Float64Array): { upper: Float64Array; ridge: Float64Array } {
  const squared = loss === 'squared-hinge'
  return {
    upper: cost.map((c) => (squared ? Number.POSITIVE_INFINITY : c)),
    ridge: cost.map((c) => (squared ? 0.5 / c : 0)),
  }
}

/** Rows as index and value lists, without the zeros (embeddings after a ReLU have many). */
interface SparseRows {
  readonly start: Int32Array
  readonly index: Int32Array
  readonly value: Float32Array
}

function sparseRows(x: Matrix): SparseRows {
  let count = 0
  for (const v of x.data) if (v !== 0) count++
  const start = new Int32Array(x.rows + 1)
  const index = new Int32Array(count)
  const value = new Float32Array(count)
  let at = 0
  for (let i = 0; i < x.rows; i++) {
    for (let j = 0; j < x.cols; j++) {
      const v = x.data[i * x.cols + j]!
      if (v !== 0) {
        index[at] = j
        value[at++] = v
      }
    }
    start[i + 1] = at
  }
  return { start, index, value }
}

/**
 * Dual coordinate descent with shrinking for ½‖w‖² + ½b² + Σ cost · loss, one column against the rest at a time (Hsieh et
 * al. 2008, which liblinear follows). Stops on the duality gap, which bounds the distance from the best objective.
 */
export function dualCoordinateDescent(
  x: Matrix,
  y: Int32Array,
  cost: Float64Array,
  columns: number,
  options: DcdOptions,
): LinearFit {
  const rows = sparseRows(x)
  const weights = new Float32Array(columns * x.cols)
  const bias = new Float64Array(columns)
  let objective = 0
  let iterations = 0
  let converged = true
  for (let k = 0; k < columns; k++) {
    const positive = columns === 1 ? 1 : k
    const sign = Int8Array.from(y, (label) => (label === positive ? 1 : -1))
    const found = oneColumn(rows, x.cols, sign, cost, options, k)
    weights.set(found.w.subarray(0, x.cols), k * x.cols)
    bias[k] = found.w[x.cols]!
    objective += found.objective
    iterations = Math.max(iterations, found.passes)
    converged &&= found.converged
    options.onProgress?.((k + 1) / columns)
  }
  return { weights, bias, objective, iterations, converged }
}

function oneColumn(
  rows: SparseRows,
  cols: number,
  sign: Int8Array,
  cost: Float64Array,
  options: DcdOptions,
  column: number,
): { w: Float64Array; objective: number; passes: number; converged: boolean } {
  const { start, index, value } = rows
  const n = sign.length
  const squared = options.loss === 'squared-hinge'
  const random = createRandom(options.seed).fork('dcd').fork(column)
  const w = new Float64Array(cols + 1)
  const alpha = new Float64Array(n)
  const { upper, ridge } = dualBox(options.loss, cost)
  const diagonal = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    let sum = 1 + ridge[i]!
    for (let at = start[i]!; at < start[i + 1]!; at++) sum += value[at]! * value[at]!
    diagonal[i] = sum
  }
  const margin = (i: number): number => {
    let sum = w[cols]!
    for (let at = start[i]!, end = start[i + 1]!; at < end; at++) sum += w[index[at]!]! * value[at]!
    return sum
  }
  const order = Int32Array.from({ length: n }, (_, i) => i)
  let active = n
  let topBefore = Number.POSITIVE_INFINITY
  let bottomBefore = Number.NEGATIVE_INFINITY
  let pass = 0
  let objective = Number.POSITIVE_INFINITY
  const gap = (): number => {
    let norm = 0
    for (const v of w) norm += v * v
    let primal = 0.5 * norm
    let dual = -0.5 * norm
    for (let i = 0; i < n; i++) {
      const room = Math.max(0, 1 - sign[i]! * margin(i))
      primal += cost[i]! * (squared ? room * room : room)
      dual += alpha[i]! - 0.5 * ridge[i]! * alpha[i]! * alpha[i]!
    }
    objective = primal
    return (primal - dual) / Math.max(primal, Number.MIN_VALUE)
  }
  for (; pass < options.maxIterations; pass++) {
    if (pass % 16 === 0) throwIfAborted(options.signal, 'Training')
    let top = Number.NEGATIVE_INFINITY
    let bottom = Number.POSITIVE_INFINITY
    for (let k = 0; k < active; k++) {
      const other = k + random.int(active - k)
      const held = order[k]!
      order[k] = order[other]!
      order[other] = held
    }
    for (let k = 0; k < active; k++) {
      const i = order[k]!
      const s = sign[i]!
      const g = s * margin(i) - 1 + ridge[i]! * alpha[i]!
      let projected = g
      if (alpha[i] === 0) {
        if (g > topBefore) {
          order[k--] = order[--active]!
          order[active] = i
          continue
        }
        projected = Math.min(g, 0)
      } else if (alpha[i] === upper[i]) {
        if (g < bottomBefore) {
          order[k--] = order[--active]!
          order[active] = i
          continue
        }
        projected = Math.max(g, 0)
      }
      if (projected > top) top = projected
      if (projected < bottom) bottom = projected
      if (Math.abs(projected) > 1e-12) {
        const before = alpha[i]!
        alpha[i] = Math.min(Math.max(before - g / diagonal[i]!, 0), upper[i]!)
        const change = (alpha[i]! - before) * s
        w[cols]! += change
        for (let at = start[i]!, end = start[i + 1]!; at < end; at++) w[index[at]!]! += change * value[at]!
      }
    }
    const calm = top - bottom <= 0.1 * Math.max(1e-10, Math.min(0.1, options.tolerance * 100))
    if (calm || pass % 10 === 9) {
      if (gap() <= options.tolerance) break
      // Not there yet: look at every row again.
      if (calm || active < n) {
        active = n
        topBefore = Number.POSITIVE_INFINITY
        bottomBefore = Number.NEGATIVE_INFINITY
        continue
      }
    }
    topBefore = top > 0 ? top : Number.POSITIVE_INFINITY
    bottomBefore = bottom < 0 ? bottom : Number.NEGATIVE_INFINITY
  }
  const converged = pass < options.maxIterations || gap() <= options.tolerance
  return { w, objective, passes: pass, converged }
}
