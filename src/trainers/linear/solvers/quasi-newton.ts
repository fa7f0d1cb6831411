/** Steps remembered. */
const memory = 6
/** Numbers of a vector worked on at a time, so that they are still in the core's cache for the next remembered step. */
const chunk = 4096

/**
 * Near enough the inverse of a Hessian H, for L-BFGS to begin from. `curvature` is whatever the objective measured
 * where it stands.
 */
export interface Metric {
  /** H⁻¹·vector, in place. */
  shape(vector: Float64Array, curvature: Float64Array): Promise<void>
  /** vector·H⁻¹·vector */
  square(vector: Float32Array, curvature: Float64Array): Promise<number>
}

/**
 * The steps of L-BFGS (Nocedal and Wright 2006, algorithm 7.4), with every inner product between remembered vectors
 * kept: a direction reads each of them twice, and the gradient a few times only (the "vector-free" form of Chen, Wang
 * and Zhou 2014). Steps and changes are remembered in float32.
 */
export class QuasiNewton {
  readonly #steps: Float32Array[] = []
  readonly #changes: Float32Array[] = []
  /** `[i][j]` step i · change j. */
  #products: Float64Array[] = []
  readonly #change: Float64Array

  readonly #size: number

  constructor(size: number) {
    this.#size = size

    this.#change = new Float64Array(size)
  }

  get length(): number {
    return this.#steps.length
  }

  forget(): void {
    this.#steps.length = 0
    this.#changes.length = 0
    this.#products = []
  }

  /** Remembers a step of `t` along `direction`, from where the gradient was `before` to where it is `after`. */
  push(direction: Float64Array, t: number, before: Float64Array, after: Float64Array): void {
    const steps = this.#steps
    const changes = this.#changes
    const size = this.#size
    const full = steps.length === memory
    const step = full ? steps.shift()! : new Float32Array(size)
    const change = full ? changes.shift()! : new Float32Array(size)
    if (full) this.#products = this.#products.slice(1).map((row) => row.slice(1))
    const exact = this.#change
    let square = 0
    let along = 0
    for (let i = 0; i < size; i++) {
      const d = direction[i]!
      const changed = after[i]! - before[i]!
      step[i] = t * d
      change[i] = changed
      exact[i] = changed
      square += changed * changed
      along += d * changed
    }
    along *= t
    if (along <= 1e-15 * square) return
    const ofStep = dots(changes, direction).map((product) => t * product)
    const ofChange = dots(steps, exact)
    steps.push(step)
    changes.push(change)
    this.#products = this.#products.map((row, i) => Float64Array.of(...row, ofChange[i]!))
    this.#products.push(Float64Array.of(...ofStep, along))
  }

  /**
   * Writes the quasi-Newton step downhill to `out`. The metric, else the unit matrix, is scaled so that it fits the
   * last step.
   */
  async direction(
    gradient: Float64Array,
    out: Float64Array,
    metric: Metric | undefined,
    curvature: Float64Array,
  ): Promise<void> {
    const steps = this.#steps
    const changes = this.#changes
    const products = this.#products
    const size = this.#size
    const count = steps.length
    const ofGradient = dots(steps, gradient)
    const alpha = new Float64Array(count)
    for (let i = count - 1; i >= 0; i--) {
      let product = -ofGradient[i]!
      for (let j = i + 1; j < count; j++) product -= alpha[j]! * products[i]![j]!
      alpha[i] = product / products[i]![i]!
    }
    for (let i = 0; i < size; i++) out[i] = -gradient[i]!
    addAll(
      out,
      changes,
      alpha.map((a) => -a),
    )
    if (metric) await metric.shape(out, curvature)
    if (count > 0) {
      const last = changes[count - 1]!
      const square = metric ? await metric.square(last, curvature) : squareOf(last)
      const scale = products[count - 1]![count - 1]! / square
      for (let i = 0; i < size; i++) out[i]! *= scale
    }
    const ofOut = dots(changes, out)
    const factor = new Float64Array(count)
    for (let i = 0; i < count; i++) {
      let product = ofOut[i]!
      for (let j = 0; j < i; j++) product += factor[j]! * products[j]![i]!
      factor[i] = alpha[i]! - product / products[i]![i]!
    }
    addAll(out, steps, factor)
  }
}

function squareOf(v: Float32Array): number {
  let sum = 0
  for (let i = 0; i < v.length; i++) sum += v[i]! * v[i]!
  return sum
}

/** Inner product of every vector with `u`. */
function dots(vectors: readonly Float32Array[], u: Float64Array): Float64Array {
  const sums = new Float64Array(vectors.length)
  for (let from = 0; from < u.length; from += chunk) {
    const end = Math.min(u.length, from + chunk)
    for (let v = 0; v < vectors.length; v++) sums[v]! += dot(vectors[v]!, u, from, end)
  }
  return sums
}

/** As linear-space's, for float32 vectors: shared, it would meet both kinds of array and be compiled for neither. */
function dot(v: Float32Array, u: Float64Array, from: number, end: number): number {
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let at = from
  for (; at + 3 < end; at += 4) {
    a += v[at]! * u[at]!
    b += v[at + 1]! * u[at + 1]!
    c += v[at + 2]! * u[at + 2]!
    d += v[at + 3]! * u[at + 3]!
  }
  for (; at < end; at++) a += v[at]! * u[at]!
  return a + b + c + d
}

/** `out += Σ factor · vector`, two vectors at a time. */
function addAll(out: Float64Array, vectors: readonly Float32Array[], factors: Float64Array): void {
  for (let from = 0; from < out.length; from += chunk) {
    const end = Math.min(out.length, from + chunk)
    let v = 0
    for (; v + 1 < vectors.length; v += 2)
      addTwo(out, vectors[v]!, factors[v]!, vectors[v + 1]!, factors[v + 1]!, from, end)
    if (v < vectors.length) addOne(out, vectors[v]!, factors[v]!, from, end)
  }
}

function addTwo(
  out: Float64Array,
  u: Float32Array,
  p: number,
  v: Float32Array,
  q: number,
  from: number,
  end: number,
): void {
  for (let at = from; at < end; at++) out[at]! += p * u[at]! + q * v[at]!
}

function addOne(out: Float64Array, u: Float32Array, p: number, from: number, end: number): void {
  for (let at = from; at < end; at++) out[at]! += p * u[at]!
}
