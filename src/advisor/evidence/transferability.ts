import { symmetricEigen } from '../../trainers/linalg/eigen.js'

/** Embeddings with classes, for the scores below. */
export interface ScoredRows {
  /** `[rows, cols]`, row-major. */
  readonly x: Float32Array
  readonly rows: number
  readonly cols: number
  /** `[rows]`, from 0. */
  readonly y: ArrayLike<number>
  readonly classes: number
}

/** Inner products of the rows, in double precision: `[rows, rows]`. */
function gramOf(x: Float64Array, rows: number, cols: number): Float64Array {
  const gram = new Float64Array(rows * rows)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0
      for (let k = 0, a = i * cols, b = j * cols; k < cols; k++, a++, b++) sum += x[a]! * x[b]!
      gram[i * rows + j] = sum
      gram[j * rows + i] = sum
    }
  }
  return gram
}

function transposed(x: Float64Array, rows: number, cols: number): Float64Array {
  const out = new Float64Array(x.length)
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) out[j * rows + i] = x[i * cols + j]!
  return out
}

function centredRows({ x, rows, cols }: ScoredRows): Float64Array {
  const mean = new Float64Array(cols)
  for (let i = 0, at = 0; i < rows; i++) for (let j = 0; j < cols; j++, at++) mean[j]! += x[at]! / rows
  return Float64Array.from(x, (value, at) => value - mean[at % cols]!)
}

/** Squares of the singular values, and the left singular vectors as rows. */
function leftSingular(
  x: Float64Array,
  rows: number,
  cols: number,
): { readonly sigma: Float64Array; readonly u: readonly Float64Array[] } {
  if (rows <= cols) {
    const { values, vectors } = symmetricEigen(gramOf(x, rows, cols), rows)
    return {
      sigma: values.map((value) => Math.max(0, value)),
      u: Array.from({ length: rows }, (_, k) => vectors.subarray(k * rows, (k + 1) * rows)),
    }
  }
  const { values, vectors } = symmetricEigen(gramOf(transposed(x, rows, cols), cols, rows), cols)
  const kept = [...values.keys()].filter((k) => Math.sqrt(Math.max(0, values[k]!)) > 1e-10)
  return {
    sigma: Float64Array.from(kept, (k) => values[k]!),
    u: kept.map((k) => {
      const v = vectors.subarray(k * cols, (k + 1) * cols)
      const s = Math.sqrt(values[k]!)
      return Float64Array.from({ length: rows }, (_, i) => {
        let sum = 0
        for (let j = 0; j < cols; j++) sum += x[i * cols + j]! * v[j]!
        return sum / s
      })
    }),
  }
}

/**
 * LogME: the mean over the classes of the log evidence per row of Bayesian linear regression on one-against-rest
 * targets, by the fixed-point iteration of You et al. 2021 (arXiv 2110.10545), with that implementation's stopping rule
 * (relative change 1e-3, at most 11 rounds), its ε of 1e-5 and its log-determinant over the singular values that there
 * are. Larger is better; compare only within one data set.
 */
export function logMe(set: ScoredRows): number {
  const { rows, cols, y, classes } = set
  const { sigma, u } = leftSingular(Float64Array.from(set.x), rows, cols)
  let total = 0
  for (let c = 0; c < classes; c++) {
    const square = u.map((vector) => {
      let sum = 0
      for (let i = 0; i < rows; i++) if (y[i] === c) sum += vector[i]!
      return sum * sum
    })
    let positives = 0
    for (let i = 0; i < rows; i++) if (y[i] === c) positives++
    const outside = positives - square.reduce((sum, value) => sum + value, 0)
    let alpha = 1
    let beta = 1
    let m2 = 0
    let res2 = 0
    for (let round = 0; round < 11; round++) {
      const t = alpha / beta
      let gamma = 0
      m2 = 0
      res2 = outside
      sigma.forEach((s, k) => {
        gamma += s / (s + t)
        m2 += (s * square[k]!) / (t + s) ** 2
        res2 += square[k]! / (1 + s / t) ** 2
      })
      alpha = gamma / (m2 + 1e-5)
      beta = (rows - gamma) / (res2 + 1e-5)
      if (Math.abs(alpha / beta - t) / t <= 1e-3) break
    }
    let logDeterminant = 0
    for (const s of sigma) logDeterminant += Math.log(alpha + beta * s)
    const evidence =
      (cols / 2) * Math.log(alpha) +
      (rows / 2) * Math.log(beta) -
      logDeterminant / 2 -
      (beta / 2) * res2 -
      (alpha / 2) * m2 -
      (rows / 2) * Math.log(2 * Math.PI)
    total += evidence / rows
  }
  return total / classes
}

/** Squared length of each vector after every component is replaced by its class's mean. */
function projectedOnClasses(vector: Float64Array, y: ArrayLike<number>, classes: number): number {
  const sums = new Float64Array(classes)
  const counts = new Float64Array(classes)
  vector.forEach((value, i) => {
    sums[y[i]!]! += value
    counts[y[i]!]! += 1
  })
  return sums.reduce((total, sum, c) => total + (counts[c]! > 0 ? (sum * sum) / counts[c]! : 0), 0)
}

/**
 * H-score, tr(cov(f)⁺ cov(E[f|y])) (Bao et al. 2019): between-class against total scatter. Needs more rows than
 * columns; with fewer the pseudo-inverse makes it a constant, so it is undefined there: use {@link regularisedHScore}.
 */
export function hScore(set: ScoredRows): number | undefined {
  const { rows, cols, y, classes } = set
  if (rows <= cols) return undefined
  // With the thin SVD f = U S Vᵀ the trace is the squared length of U's columns projected on the classes.
  const { u, sigma } = leftSingular(centredRows(set), rows, cols)
  const largest = sigma.reduce((most, value) => Math.max(most, value), 0)
  return u.reduce(
    (sum, vector, k) => (sigma[k]! > 1e-15 * largest ? sum + projectedOnClasses(vector, y, classes) : sum),
    0,
  )
}

/**
 * The H-score with Ledoit and Wolf's shrinkage of the covariance (Ibrahim, Ponomareva and Mazumder 2021), which stays
 * meaningful with fewer rows than columns: tr(cov_α(f)⁻¹ (1 − α) cov(E[f|y])). All in the space of the rows.
 */
export function regularisedHScore(set: ScoredRows): number {
  const { rows, cols, y, classes } = set
  const gram = gramOf(centredRows(set), rows, cols)
  const { values, vectors } = symmetricEigen(gram, rows)
  let trace = 0
  let square = 0
  let fourth = 0
  for (let i = 0; i < rows; i++) {
    trace += gram[i * rows + i]!
    fourth += gram[i * rows + i]! ** 2
  }
  for (const value of gram) square += value * value
  const mu = trace / rows / cols
  const spread = square / rows ** 2
  const delta = (spread - 2 * mu * (trace / rows) + cols * mu * mu) / cols
  const beta = Math.min((fourth / rows - spread) / (cols * rows), delta)
  const alpha = delta === 0 ? 0 : beta / delta
  if (alpha >= 1) return 0
  const c = (rows * alpha * mu) / (1 - alpha)
  let sum = 0
  for (let k = 0; k < rows; k++) {
    const value = Math.max(0, values[k]!)
    if (value + c <= 1e-12 * Math.max(1, values[0]!)) continue
    sum += (value / (value + c)) * projectedOnClasses(vectors.subarray(k * rows, (k + 1) * rows), y, classes)
  }
  // Covariance of f over n (as the shrinkage's), of the class means over n − 1 (as numpy's cov).
  return (sum * rows) / (rows - 1)
}
