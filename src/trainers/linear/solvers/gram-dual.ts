import { turnTaker } from '../../../base/turns.js'
import type { Matrix } from '../../contract.js'
import { gemm } from '../../linalg/gemm.js'
import { type DcdOptions, type DualFit, dualBox } from './dual-coordinate-descent.js'

/** Steps between two looks at the duality gap. */
const stepsPerCheck = 256
/** Passes of single steps before conjugate gradients help; most problems are solved by then. */
const passesBeforeLeaps = 25
const passesBetweenLeaps = 3
const maxConjugate = 40

export interface GramDualOptions extends Omit<DcdOptions, 'seed'> {
  readonly threads: number
}

/**
 * The dual of a linear support vector machine, ½βᵀ(K + 1 + D)β − Σ yβ with 0 ≤ yβ ≤ cost and D = 0 for the hinge, no
 * upper end and D = 1 / (2 cost) for the squared hinge; one column against the rest at a time, by coordinate descent on
 * the Gram matrix: every step takes the row whose move gains most, and costs one pass over a row of the matrix. Stops
 * on the duality gap, which bounds the distance from the best objective however hard C makes the problem. `iterations`
 * are passes of as many steps as there are rows.
 */
export async function dualOnGram(
  x: Matrix,
  y: Int32Array,
  cost: Float64Array,
  columns: number,
  options: GramDualOptions,
): Promise<DualFit> {
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
  readonly #margin: Float64Array
  readonly #ridge: Float64Array
  readonly #upper: Float64Array
  readonly #diagonal: Float64Array
  /** The row whose move gains most, and its gain; every first step is as good as any other: the first row's. */
  #chosen = 0
  #gain = 1

  readonly #gram: Float32Array
  readonly #cost: Float64Array
  readonly #loss: DcdOptions['loss']

  constructor(
    gram: Float32Array,
    readonly sign: Float64Array,
    cost: Float64Array,
    loss: DcdOptions['loss'],
  ) {
    this.#gram = gram
    this.#cost = cost
    this.#loss = loss

    const n = sign.length
    this.alpha = new Float64Array(n)
    this.#margin = new Float64Array(n)
    const { upper, ridge } = dualBox(loss, cost)
    this.#upper = upper
    this.#ridge = ridge
    this.#diagonal = Float64Array.from(sign, (_, i) => gram[i * n + i]! + 1 + this.#ridge[i]!)
  }

  /** From another fit's coefficients and their products with the Gram matrix; what this cost forbids is cut off. */
  begin(beta: Float64Array, products: Float32Array): void {
    const upper = this.#upper
    const margin = this.#margin
    const { alpha, sign } = this
    const allowed = alpha.every((_, i) => sign[i]! * beta[i]! >= 0 && sign[i]! * beta[i]! <= upper[i]!)
    if (!allowed) return
    const bias = beta.reduce((sum, b) => sum + b, 0)
    for (let i = 0; i < alpha.length; i++) {
      alpha[i] = sign[i]! * beta[i]!
      margin[i] = products[i]! + bias
    }
  }

  value(): { primal: number; gap: number } {
    const margin = this.#margin
    const cost = this.#cost
    const ridge = this.#ridge
    const { alpha, sign } = this
    const squared = this.#loss === 'squared_hinge'
    let square = 0
    let loss = 0
    let sum = 0
    for (let i = 0; i < alpha.length; i++) {
      const slack = Math.max(0, 1 - sign[i]! * margin[i]!)
      square += sign[i]! * alpha[i]! * margin[i]!
      loss += cost[i]! * (squared ? slack * slack : slack)
      sum += alpha[i]! - 0.5 * ridge[i]! * alpha[i]! * alpha[i]!
    }
    const primal = 0.5 * square + loss
    return { primal, gap: primal - (sum - 0.5 * square) }
  }

  /** @returns the steps taken */
  async descend({ tolerance, maxIterations }: GramDualOptions, pause: () => Promise<void>): Promise<number> {
    const margin = this.#margin
    const ridge = this.#ridge
    const upper = this.#upper
    const diagonal = this.#diagonal
    const { sign, alpha } = this
    const n = sign.length
    let steps = 0
    let nextLeap = passesBeforeLeaps * n
    for (; steps < maxIterations * n && this.#gain > 0; steps++) {
      if (steps % stepsPerCheck === 0) {
        await pause()
        const { primal, gap } = this.value()
        if (gap <= tolerance * primal) break
      }
      if (steps >= nextLeap) {
        steps += n * (await this.#leap(pause))
        nextLeap = steps + passesBetweenLeaps * n
      }
      const i = this.#chosen
      const before = alpha[i]!
      const slope = 1 - sign[i]! * margin[i]! - ridge[i]! * before
      const after = Math.min(Math.max(before + slope / diagonal[i]!, 0), upper[i]!)
      alpha[i] = after
      this.#shift(i, (after - before) * sign[i]!)
    }
    return steps
  }

  /** Adds `change` times a row of the matrix to the margins, and finds the row whose move gains most now. */
  #shift(row: number, change: number): void {
    const gram = this.#gram
    const margin = this.#margin
    const ridge = this.#ridge
    const upper = this.#upper
    const diagonal = this.#diagonal
    const { sign, alpha } = this
    const n = sign.length
    const at = row * n
    let chosen = row
    let most = 0
    for (let j = 0; j < n; j++) {
      const m = margin[j]! + change * (gram[at + j]! + 1)
      margin[j] = m
      const a = alpha[j]!
      const g = 1 - sign[j]! * m - ridge[j]! * a
      const slack = g > 0 ? upper[j]! - a : a
      if (slack <= 0) continue
      const size = g > 0 ? g : -g
      let step = size / diagonal[j]!
      if (step > slack) step = slack
      const gain = step * (size - 0.5 * step * diagonal[j]!)
      if (gain > most) {
        most = gain
        chosen = j
      }
    }
    this.#chosen = chosen
    this.#gain = most
  }

  /** Margins that the step `v` of the variables adds. */
  #marginsOf(v: Float64Array): Float64Array {
    const gram = this.#gram
    const { sign } = this
    const n = sign.length
    const out = new Float64Array(n)
    for (let j = 0; j < n; j++) {
      const change = sign[j]! * v[j]!
      if (change === 0) continue
      for (let i = 0, at = j * n; i < n; i++) out[i]! += change * (gram[at + i]! + 1)
    }
    return out
  }

  /**
   * Where rows contradict each other, single steps of length 1 / diagonal take as many of them as the cost is large.
   * Conjugate gradients over the variables that are free to move see where they all go at once (Moré and Toraldo 1991);
   * then along that way, held inside the box, as far as the objective allows.
   *
   * @returns products with the matrix, each as long as a pass
   */
  async #leap(pause: () => Promise<void>): Promise<number> {
    const margin = this.#margin
    const ridge = this.#ridge
    const upper = this.#upper
    const { sign, alpha } = this
    const n = sign.length
    const slope = Float64Array.from(alpha, (a, i) => 1 - sign[i]! * margin[i]! - ridge[i]! * a)
    const free = slope.map((g, i) => ((g > 0 ? alpha[i]! < upper[i]! : alpha[i]! > 0) ? 1 : 0))
    const inner = (u: Float64Array, v: Float64Array): number => {
      let sum = 0
      for (let i = 0; i < n; i++) sum += u[i]! * v[i]!
      return sum
    }
    const curve = (v: Float64Array, margins: Float64Array): Float64Array =>
      v.map((x, i) => sign[i]! * margins[i]! + ridge[i]! * x)
    const way = new Float64Array(n)
    const rest = slope.map((g, i) => g * free[i]!)
    let towards = Float64Array.from(rest)
    let square = inner(rest, rest)
    const enough = 1e-12 * square
    const widest = upper.reduce((a, b) => Math.max(a, b), 0)
    const ways = [way]
    let products = 0
    for (; products < maxConjugate && square > enough; products++) {
      await pause()
      const bent = curve(towards, this.#marginsOf(towards)).map((v, i) => v * free[i]!)
      const length = square / inner(towards, bent)
      const longest = widest / towards.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
      // What costs next to nothing is followed to the ends of the box, by itself: in one step with the rest it would
      // outweigh that.
      if (!(length > 0 && length < longest)) {
        ways.push(towards.map((v) => v * longest))
        break
      }
      for (let i = 0; i < n; i++) {
        way[i]! += length * towards[i]!
        rest[i]! -= length * bent[i]!
      }
      const before = square
      square = inner(rest, rest)
      towards = towards.map((v, i) => rest[i]! + (square / before) * v)
    }
    for (const one of ways) {
      const now = Float64Array.from(alpha, (a, i) => 1 - sign[i]! * margin[i]! - ridge[i]! * a)
      let best: { gain: number; step: Float64Array; margins: Float64Array } = { gain: 0, step: one, margins: one }
      for (let share = 1; share > 1e-9; share *= 0.25) {
        await pause()
        const step = alpha.map((a, i) => Math.min(Math.max(a + share * one[i]!, 0), upper[i]!) - a)
        const margins = this.#marginsOf(step)
        products++
        const gain = inner(now, step) - 0.5 * inner(step, curve(step, margins))
        if (gain > best.gain) best = { gain, step, margins }
        else if (best.gain > 0) break
      }
      if (best.gain === 0) continue
      for (let i = 0; i < n; i++) {
        alpha[i]! += best.step[i]!
        margin[i]! += best.margins[i]!
      }
    }
    this.#shift(0, 0)
    return products
  }
}
