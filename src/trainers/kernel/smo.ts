/** Rows of a kernel matrix `[n, n]` as a solver reads them: `data` from `at`. */
export interface KernelSource {
  readonly diagonal: Float64Array
  /** Offset of row i in `data`, or -1 where it has to be fetched first. */
  offset(i: number): number
  readonly data: Float32Array
}

/** The whole matrix in memory. */
export function denseSource(data: Float32Array, n: number): KernelSource {
  return { data, diagonal: Float64Array.from({ length: n }, (_, i) => data[i * n + i]!), offset: (i) => i * n }
}

export interface PairProblem {
  readonly kernel: KernelSource
  /** `[n]`, true for the first class of the pair. */
  readonly positive: Uint8Array
  /** `[n]`: C of every row, its weight counted. */
  readonly cost: Float64Array
  /** Largest violation of the optimality conditions at which to stop (libsvm's eps). */
  readonly tolerance: number
  readonly maxIterations: number
  readonly shrinking: boolean
}

export interface PairSolution {
  /** `[n]`, α times ±1. */
  readonly coefficients: Float64Array
  /** The decision is Σ coefficient · kernel + bias. */
  readonly bias: number
  /** ½ αᵀQα − Σα, as libsvm prints it. */
  readonly objective: number
  readonly iterations: number
  readonly converged: boolean
}

const floor = 1e-12

/**
 * Two-class C-SVC by sequential minimal optimisation, with the second-order choice of the working set (Fan, Chen and
 * Lin 2005) and shrinking, as in libsvm. Kept in terms of β = yα and f = y − Kβ, so that no signs are left in the inner
 * loops: 0 ≤ yβ ≤ C, the row that may grow most has the largest f, and a step of δ on a pair changes f by δ (K_j −
 * K_i).
 *
 * `advance` runs until it is done, until `iterations` more are made (so that a caller can hear a signal in between), or
 * until it needs a kernel row that the source does not have.
 */
export class PairSolver {
  readonly #n: number
  readonly #beta: Float64Array
  readonly #f: Float64Array
  readonly #lower: Float64Array
  readonly #upper: Float64Array
  /** The rows still looked at, in the first `active` places. */
  readonly #order: Int32Array
  #active: number
  #unshrunk = false
  #untilShrink: number
  iterations = 0
  converged = false
  /** The kernel row that is missing, or -1. */
  missing = -1
  #chosen = -1

  readonly #problem: PairProblem

  constructor(problem: PairProblem) {
    this.#problem = problem

    const { positive, cost } = problem
    const n = positive.length
    this.#n = n
    this.#beta = new Float64Array(n)
    this.#f = Float64Array.from(positive, (p) => (p ? 1 : -1))
    this.#lower = Float64Array.from(cost, (c, i) => (positive[i] ? 0 : -c))
    this.#upper = Float64Array.from(cost, (c, i) => (positive[i] ? c : 0))
    this.#order = Int32Array.from({ length: n }, (_, i) => i)
    this.#active = n
    this.#untilShrink = Math.min(n, 1000)
  }

  /** @returns whether the solution is final */
  advance(budget: number): boolean {
    const problem = this.#problem
    const f = this.#f
    const beta = this.#beta
    const lower = this.#lower
    const upper = this.#upper
    const { kernel, maxIterations, tolerance } = problem
    const { diagonal } = kernel
    this.missing = -1
    for (let left = budget; left > 0; left--) {
      if (this.iterations >= maxIterations) return this.#finish(false)
      if (problem.shrinking && this.#chosen < 0 && --this.#untilShrink <= 0) {
        this.#untilShrink = Math.min(this.#n, 1000)
        this.#shrink()
      }
      const i = this.#chosen >= 0 ? this.#chosen : this.#maxViolating()
      this.#chosen = i
      const rowI = i < 0 ? 0 : kernel.offset(i)
      if (rowI < 0) {
        this.missing = i
        return false
      }
      const j = i < 0 ? -1 : this.#partner(i, rowI, tolerance)
      if (j < 0) {
        this.#chosen = -1
        if (this.#active === this.#n) return this.#finish(true)
        // Optimal on the rows still looked at: look at all of them again.
        this.#restore()
        this.#untilShrink = 2
        continue
      }
      const rowJ = kernel.offset(j)
      if (rowJ < 0) {
        this.missing = j
        return false
      }
      this.#chosen = -1
      const { data } = kernel
      const curvature = Math.max(floor, diagonal[i]! + diagonal[j]! - 2 * data[rowI + j]!)
      const roomI = upper[i]! - beta[i]!
      const roomJ = beta[j]! - lower[j]!
      const step = Math.min((f[i]! - f[j]!) / curvature, roomI, roomJ)
      beta[i] = step >= roomI ? upper[i]! : beta[i]! + step
      beta[j] = step >= roomJ ? lower[j]! : beta[j]! - step
      this.#update(step, rowI, rowJ)
      this.iterations++
    }
    return false
  }

  #finish(converged: boolean): boolean {
    this.converged = converged
    if (this.#active < this.#n) this.#restore()
    return true
  }

  #update(step: number, rowI: number, rowJ: number): void {
    const f = this.#f
    const active = this.#active
    const n = this.#n
    const order = this.#order
    const { data } = this.#problem.kernel
    if (active === n) {
      for (let t = 0; t < n; t++) f[t]! -= step * (data[rowI + t]! - data[rowJ + t]!)
    } else {
      for (let k = 0; k < active; k++) {
        const t = order[k]!
        f[t]! -= step * (data[rowI + t]! - data[rowJ + t]!)
      }
    }
  }

  /** The row whose coefficient may grow with the largest f. */
  #maxViolating(): number {
    const f = this.#f
    const beta = this.#beta
    const upper = this.#upper
    const order = this.#order
    const active = this.#active
    let best = -1
    let top = Number.NEGATIVE_INFINITY
    for (let k = 0; k < active; k++) {
      const t = order[k]!
      if (f[t]! > top && beta[t]! < upper[t]!) {
        top = f[t]!
        best = t
      }
    }
    return best
  }

  /** The row whose coefficient may fall and with which a step gains most, or -1 when none violates by the tolerance. */
  #partner(i: number, rowI: number, tolerance: number): number {
    const f = this.#f
    const beta = this.#beta
    const lower = this.#lower
    const order = this.#order
    const active = this.#active
    const { data, diagonal } = this.#problem.kernel
    const top = f[i]!
    const own = diagonal[i]!
    let best = -1
    let gain = 0
    let bottom = Number.POSITIVE_INFINITY
    for (let k = 0; k < active; k++) {
      const t = order[k]!
      const ft = f[t]!
      if (ft < top && beta[t]! > lower[t]!) {
        if (ft < bottom) bottom = ft
        const difference = top - ft
        let curvature = own + diagonal[t]! - 2 * data[rowI + t]!
        if (curvature < floor) curvature = floor
        const value = (difference * difference) / curvature
        if (value > gain) {
          gain = value
          best = t
        }
      }
    }
    return top - bottom < tolerance ? -1 : best
  }

  /**
   * Puts aside rows at a bound that the conditions hold there by a margin; near the end all rows are looked at once
   * more.
   */
  #shrink(): void {
    const f = this.#f
    const beta = this.#beta
    const lower = this.#lower
    const upper = this.#upper
    const order = this.#order
    let top = Number.NEGATIVE_INFINITY
    let bottom = Number.POSITIVE_INFINITY
    for (let k = 0; k < this.#active; k++) {
      const t = order[k]!
      if (beta[t]! < upper[t]! && f[t]! > top) top = f[t]!
      if (beta[t]! > lower[t]! && f[t]! < bottom) bottom = f[t]!
    }
    if (!this.#unshrunk && top - bottom <= this.#problem.tolerance * 10) {
      this.#unshrunk = true
      this.#restore()
    }
    for (let k = 0; k < this.#active; k++) {
      const t = order[k]!
      // At its upper bound it would only fall, and does not want to; the other way round at the lower.
      const rests = (beta[t]! >= upper[t]! && f[t]! > top) || (beta[t]! <= lower[t]! && f[t]! < bottom)
      if (!rests) continue
      this.#active--
      order[k] = order[this.#active]!
      order[this.#active] = t
      k--
    }
  }

  /** Restores the rows that were put aside, with their f recomputed. */
  #restore(): void {
    const beta = this.#beta
    const f = this.#f
    const order = this.#order
    const n = this.#n
    const active = this.#active
    const problem = this.#problem
    const { kernel, positive } = problem
    if (active === n) return
    for (let k = active; k < n; k++) f[order[k]!] = positive[order[k]!] ? 1 : -1
    for (let s = 0; s < n; s++) {
      const b = beta[s]!
      if (b === 0) continue
      // Shrinking is used only where the whole matrix is in memory.
      const row = kernel.offset(s)
      for (let k = active; k < n; k++) f[order[k]!]! -= b * kernel.data[row + order[k]!]!
    }
    // In order again: the loops then walk through memory forwards.
    for (let k = 0; k < n; k++) order[k] = k
    this.#active = n
  }

  /** Rows that are likely to be needed next, most violating first: they are fetched together with a missing one. */
  likely(count: number): number[] {
    const f = this.#f
    const beta = this.#beta
    const lower = this.#lower
    const upper = this.#upper
    const n = this.#n
    const up: number[] = []
    const down: number[] = []
    for (let t = 0; t < n; t++) {
      if (beta[t]! < upper[t]!) up.push(t)
      if (beta[t]! > lower[t]!) down.push(t)
    }
    up.sort((a, b) => f[b]! - f[a]!)
    down.sort((a, b) => f[a]! - f[b]!)
    const half = count >> 1
    return [...new Set([...up.slice(0, half), ...down.slice(0, half)])]
  }

  solution(): PairSolution {
    const beta = this.#beta
    const f = this.#f
    const lower = this.#lower
    const upper = this.#upper
    const n = this.#n
    let free = 0
    let sum = 0
    let top = Number.NEGATIVE_INFINITY
    let bottom = Number.POSITIVE_INFINITY
    let objective = 0
    for (let t = 0; t < n; t++) {
      const sign = this.#problem.positive[t] ? 1 : -1
      objective -= 0.5 * beta[t]! * (sign + f[t]!)
      const canGrow = beta[t]! < upper[t]!
      const canFall = beta[t]! > lower[t]!
      if (canGrow && canFall) {
        free++
        sum += f[t]!
      } else if (canGrow) top = Math.max(top, f[t]!)
      else bottom = Math.min(bottom, f[t]!)
    }
    return {
      coefficients: beta,
      bias: free > 0 ? sum / free : (top + bottom) / 2,
      objective,
      iterations: this.iterations,
      converged: this.converged,
    }
  }
}
