import { createRandom, type Random } from '../../../base/random.js'
import { turnTaker } from '../../../base/turns.js'
import type { Matrix } from '../../contract.js'

export interface DcdOptions {
  readonly loss: 'hinge' | 'squared_hinge'
  /** Largest relative duality gap at which to stop. */
  readonly tolerance: number
  readonly maxIterations: number
  readonly seed: number
  /** `[columns, rows]`, the {@link DualFit.combination} an earlier fit of the same rows ended with. */
  readonly start?: Float64Array | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((fraction: number) => void) | undefined
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

export interface DualFit extends LinearFit {
  /** `[columns, rows]`: the weights as combinations of the rows. */
  readonly combination: Float64Array
}

/**
 * Upper ends of the dual's variables, and the ridge of its diagonal: no upper end and 1 / (2 cost) for the squared
 * hinge.
 */
export function dualBox(loss: DcdOptions['loss'], cost: Float64Array): { upper: Float64Array; ridge: Float64Array } {
  const squared = loss === 'squared_hinge'
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
 * Dual coordinate descent with shrinking for ½‖w‖² + ½b² + Σ cost · loss, one column against the rest at a time (Hsieh
 * et al. 2008, which liblinear follows). Stops on the duality gap, which bounds the distance from the best objective.
 */
export async function dualCoordinateDescent(
  x: Matrix,
  y: Int32Array,
  cost: Float64Array,
  columns: number,
  options: DcdOptions,
): Promise<DualFit> {
  const rows = sparseRows(x)
  const pause = turnTaker(options.signal, 'Training')
  const combination = options.start ? Float64Array.from(options.start) : new Float64Array(columns * x.rows)
  const weights = new Float32Array(columns * x.cols)
  const bias = new Float64Array(columns)
  let objective = 0
  let iterations = 0
  let converged = true
  for (let k = 0; k < columns; k++) {
    const positive = columns === 1 ? 1 : k
    const sign = Int8Array.from(y, (label) => (label === positive ? 1 : -1))
    const machine = new Column(rows, x.cols, sign, cost, options, k)
    const beta = combination.subarray(k * x.rows, (k + 1) * x.rows)
    if (options.start) machine.begin(beta)
    const found = await machine.descend(pause)
    for (let i = 0; i < beta.length; i++) beta[i] = machine.alpha[i]! * sign[i]!
    weights.set(machine.w.subarray(0, x.cols), k * x.cols)
    bias[k] = machine.w[x.cols]!
    objective += machine.objective
    iterations = Math.max(iterations, found.passes)
    converged &&= found.converged
    options.onProgress?.((k + 1) / columns)
  }
  return { weights, bias, combination, objective, iterations, converged }
}

/** One machine: the dual's variables, the weights that they make, and the rows still looked at. */
class Column {
  /** Weights, the bias last. */
  readonly w: Float64Array
  objective = Number.POSITIVE_INFINITY
  readonly alpha: Float64Array
  readonly #upper: Float64Array
  readonly #ridge: Float64Array
  readonly #diagonal: Float64Array
  readonly #order: Int32Array
  readonly #random: Random
  #active: number
  #topBefore = Number.POSITIVE_INFINITY
  #bottomBefore = Number.NEGATIVE_INFINITY

  readonly #rows: SparseRows
  readonly #cols: number
  readonly #sign: Int8Array
  readonly #cost: Float64Array
  readonly #options: DcdOptions

  constructor(
    rows: SparseRows,
    cols: number,
    sign: Int8Array,
    cost: Float64Array,
    options: DcdOptions,
    column: number,
  ) {
    this.#rows = rows
    this.#cols = cols
    this.#sign = sign
    this.#cost = cost
    this.#options = options

    const n = sign.length
    this.#random = createRandom(options.seed).fork('dcd').fork(column)
    this.w = new Float64Array(cols + 1)
    this.alpha = new Float64Array(n)
    const { upper, ridge } = dualBox(options.loss, cost)
    this.#upper = upper
    this.#ridge = ridge
    const { start, value } = rows
    this.#diagonal = Float64Array.from(sign, (_, i) => {
      let sum = 1 + ridge[i]!
      for (let at = start[i]!; at < start[i + 1]!; at++) sum += value[at]! * value[at]!
      return sum
    })
    this.#order = Int32Array.from({ length: n }, (_, i) => i)
    this.#active = n
  }

  /** From another fit's coefficients, unless this cost forbids one of them. */
  begin(beta: Float64Array): void {
    const rows = this.#rows
    const cols = this.#cols
    const sign = this.#sign
    const upper = this.#upper
    const { w, alpha } = this
    const { start, index, value } = rows
    if (!alpha.every((_, i) => sign[i]! * beta[i]! >= 0 && sign[i]! * beta[i]! <= upper[i]!)) return
    for (let i = 0; i < alpha.length; i++) {
      const change = beta[i]!
      if (change === 0) continue
      alpha[i] = sign[i]! * change
      w[cols]! += change
      for (let at = start[i]!; at < start[i + 1]!; at++) w[index[at]!]! += change * value[at]!
    }
  }

  /** Sets the objective too. */
  #gap(): number {
    const rows = this.#rows
    const cols = this.#cols
    const ridge = this.#ridge
    const sign = this.#sign
    const cost = this.#cost
    const { w, alpha } = this
    const { start, index, value } = rows
    const squared = this.#options.loss === 'squared_hinge'
    let norm = 0
    for (const v of w) norm += v * v
    let primal = 0.5 * norm
    let dual = -0.5 * norm
    for (let i = 0; i < sign.length; i++) {
      let margin = w[cols]!
      for (let at = start[i]!, end = start[i + 1]!; at < end; at++) margin += w[index[at]!]! * value[at]!
      const slack = Math.max(0, 1 - sign[i]! * margin)
      primal += cost[i]! * (squared ? slack * slack : slack)
      dual += alpha[i]! - 0.5 * ridge[i]! * alpha[i]! * alpha[i]!
    }
    this.objective = primal
    return (primal - dual) / Math.max(primal, Number.MIN_VALUE)
  }

  /**
   * One pass over the active rows in random order; settled ones are put aside. @returns the range of the projected
   * gradients
   */
  #sweep(): { top: number; bottom: number } {
    const rows = this.#rows
    const cols = this.#cols
    const sign = this.#sign
    const upper = this.#upper
    const ridge = this.#ridge
    const diagonal = this.#diagonal
    const order = this.#order
    const random = this.#random
    const topBefore = this.#topBefore
    const bottomBefore = this.#bottomBefore
    const { w, alpha } = this
    const { start, index, value } = rows
    let active = this.#active
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
      const end = start[i + 1]!
      let margin = w[cols]!
      for (let at = start[i]!; at < end; at++) margin += w[index[at]!]! * value[at]!
      const g = s * margin - 1 + ridge[i]! * alpha[i]!
      let projected = g
      if (alpha[i] === 0) {
        if (g > topBefore) {
          order[k--] = order[--active]!
          order[active] = i
          continue
        }
        if (g > 0) projected = 0
      } else if (alpha[i] === upper[i]) {
        if (g < bottomBefore) {
          order[k--] = order[--active]!
          order[active] = i
          continue
        }
        if (g < 0) projected = 0
      }
      if (projected > top) top = projected
      if (projected < bottom) bottom = projected
      if (projected > 1e-12 || projected < -1e-12) {
        const before = alpha[i]!
        let after = before - g / diagonal[i]!
        if (after < 0) after = 0
        else if (after > upper[i]!) after = upper[i]!
        alpha[i] = after
        const change = (after - before) * s
        w[cols]! += change
        for (let at = start[i]!; at < end; at++) w[index[at]!]! += change * value[at]!
      }
    }
    this.#active = active
    return { top, bottom }
  }

  async descend(pause: () => Promise<void>): Promise<{ passes: number; converged: boolean }> {
    const { tolerance, maxIterations } = this.#options
    const n = this.#sign.length
    let pass = 0
    for (; pass < maxIterations; pass++) {
      await pause()
      const { top, bottom } = this.#sweep()
      const calm = top - bottom <= 0.1 * Math.max(1e-10, Math.min(0.1, tolerance * 100))
      if (calm || pass % 10 === 9) {
        if (this.#gap() <= tolerance) break
        // Not there yet: look at every row again.
        if (calm || this.#active < n) {
          this.#active = n
          this.#topBefore = Number.POSITIVE_INFINITY
          this.#bottomBefore = Number.NEGATIVE_INFINITY
          continue
        }
      }
      this.#topBefore = top > 0 ? top : Number.POSITIVE_INFINITY
      this.#bottomBefore = bottom < 0 ? bottom : Number.NEGATIVE_INFINITY
    }
    return { passes: pass, converged: pass < maxIterations || this.#gap() <= tolerance }
  }
}
