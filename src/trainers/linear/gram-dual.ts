import { turnTaker } from '../../base/turns.js'
import type { Matrix } from '../contract.js'
import { gemm } from '../gemm.js'
import { type DcdOptions, dualBox, type LinearFit } from './dcd.js'

/** Largest number of rows whose Gram matrix (float32) is held: a quarter of a gigabyte. */
const maxGramRows = 8192

/** Of narrow rows one is read sooner than a row of the Gram matrix. */
export function gramPays(rows: number, cols: number): boolean {
  return rows <= maxGramRows && rows <= 4 * cols
}

/** Steps between two looks at the duality gap. */
const stepsPerCheck = 256

export interface GramDualOptions extends Omit<DcdOptions, 'seed'> {
  readonly threads: number
  /** `[columns, rows]`, the coefficients an earlier fit of the same rows ended with. */
  readonly start?: Float64Array
}

/** `iterations` are passes of as many steps as there are rows. */
export interface GramDual extends LinearFit {
  /** `[columns, rows]`: the weights as combinations of the rows. */
  readonly combination: Float64Array
}

/**
 * The dual of a linear support vector machine, ½βᵀ(K + 1 + D)β − Σ yβ with 0 ≤ yβ ≤ cost and D = 0 for the hinge, no upper end and
 * D = 1 / (2 cost) for the squared hinge; one column against the rest at a time, by coordinate descent on the Gram matrix: every
 * step takes the row whose move gains most, and costs one pass over a row of the matrix. Stops on the duality gap, which bounds
 * the distance from the best objective however hard C makes the problem.
 */
export async function dualOnGram(
  x: Matrix,
  y: Int32Array,
  cost: Float64Array,
  columns: number,
  options: GramDualOptions,
): Promise<GramDual> {
  const { rows } = x
  const { threads } = options
  const gram = (await gemm(x, x, { transB: true, threads })).data
  const combination = options.start ? Float64Array.from(options.start) : new Float64Array(columns * rows)
  const margins = options.start
    ? (
        await gemm(
          { data: Float32Array.from(combination), rows: columns, cols: rows },
          { data: gram, rows, cols: rows },
          { threads },
        )
      ).data
    : undefined
  const bias = new Float64Array(columns)
  const pause = turnTaker(options.signal, 'Training')
  let objective = 0
  let iterations = 0
  let converged = true
  for (let k = 0; k < columns; k++) {
    const positive = columns === 1 ? 1 : k
    const beta = combination.subarray(k * rows, (k + 1) * rows)
    const column = new Column(
      gram,
      Float64Array.from(y, (label) => (label === positive ? 1 : -1)),
      cost,
      options.loss,
    )
    if (margins) column.begin(beta, margins.subarray(k * rows, (k + 1) * rows))
    const steps = await column.descend(options, pause)
    for (let i = 0; i < rows; i++) beta[i] = column.alpha[i]! * column.sign[i]!
    bias[k] = beta.reduce((sum, b) => sum + b, 0)
    const { primal, gap } = column.value()
    objective += primal
    converged &&= gap <= options.tolerance * primal
    iterations = Math.max(iterations, Math.ceil(steps / rows))
    options.onProgress?.((k + 1) / columns)
  }
  const { data } = await gemm({ data: Float32Array.from(combination), rows: columns, cols: rows }, x, { threads })
  return { weights: data, bias, combination, objective, iterations, converged }
}

class Column {
  readonly alpha: Float64Array
  private readonly margin: Float64Array
  private readonly ridge: Float64Array
  private readonly upper: Float64Array
  private readonly diagonal: Float64Array

  constructor(
    private readonly gram: Float32Array,
    readonly sign: Float64Array,
    private readonly cost: Float64Array,
    private readonly loss: DcdOptions['loss'],
  ) {
    const n = sign.length
    this.alpha = new Float64Array(n)
    this.margin = new Float64Array(n)
    const { upper, ridge } = dualBox(loss, cost)
    this.upper = upper
    this.ridge = ridge
    this.diagonal = Float64Array.from(sign, (_, i) => gram[i * n + i]! + 1 + this.ridge[i]!)
  }

  /** From another fit's coefficients and their products with the Gram matrix; what this cost forbids is cut off. */
  begin(beta: Float64Array, products: Float32Array): void {
    const { alpha, sign, upper, margin } = this
    const allowed = alpha.every((_, i) => sign[i]! * beta[i]! >= 0 && sign[i]! * beta[i]! <= upper[i]!)
    if (!allowed) return
    const bias = beta.reduce((sum, b) => sum + b, 0)
    for (let i = 0; i < alpha.length; i++) {
      alpha[i] = sign[i]! * beta[i]!
      margin[i] = products[i]! + bias
    }
  }

  value(): { primal: number; gap: number } {
    const { alpha, sign, margin, cost, ridge } = this
    const squared = this.loss === 'squared-hinge'
    let square = 0
    let loss = 0
    let sum = 0
    for (let i = 0; i < alpha.length; i++) {
      const room = Math.max(0, 1 - sign[i]! * margin[i]!)
      square += sign[i]! * alpha[i]! * margin[i]!
      loss += cost[i]! * (squared ? room * room : room)
      sum += alpha[i]! - 0.5 * ridge[i]! * alpha[i]! * alpha[i]!
    }
    const primal = 0.5 * square + loss
    return { primal, gap: primal - (sum - 0.5 * square) }
  }

  /** @returns the steps taken */
  async descend({ tolerance, maxIterations }: GramDualOptions, pause: () => Promise<void>): Promise<number> {
    const { gram, sign, alpha, margin, ridge, upper, diagonal } = this
    const n = sign.length
    let steps = 0
    // Every first step is as good as any other: the first row's.
    let chosen = 0
    let most = 1
    for (; steps < maxIterations * n && most > 0; steps++) {
      if (steps % stepsPerCheck === 0) {
        await pause()
        const { primal, gap } = this.value()
        if (gap <= tolerance * primal) break
      }
      const before = alpha[chosen]!
      const slope = 1 - sign[chosen]! * margin[chosen]! - ridge[chosen]! * before
      const after = Math.min(Math.max(before + slope / diagonal[chosen]!, 0), upper[chosen]!)
      alpha[chosen] = after
      const change = (after - before) * sign[chosen]!
      const row = chosen * n
      most = 0
      for (let j = 0; j < n; j++) {
        const m = margin[j]! + change * (gram[row + j]! + 1)
        margin[j] = m
        const a = alpha[j]!
        const g = 1 - sign[j]! * m - ridge[j]! * a
        const room = g > 0 ? upper[j]! - a : a
        if (room <= 0) continue
        const size = Math.abs(g)
        const step = Math.min(size / diagonal[j]!, room)
        const gain = step * (size - 0.5 * step * diagonal[j]!)
        if (gain > most) {
          most = gain
          chosen = j
        }
      }
    }
    return steps
  }
}
