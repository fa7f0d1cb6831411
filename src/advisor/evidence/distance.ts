import type { Matrix } from '../../trainers/contract.js'
import { symmetricEigen } from '../../trainers/linalg/eigen.js'
import { gemm } from '../../trainers/linalg/gemm.js'

/** Where a backbone's own training images lie in its embedding space: what a data set's distance is measured from. */
export interface SourceStatistics {
  /** `[cols]` */
  readonly mean: Float32Array
  /** `[components, cols]`: leading principal axes, orthonormal. */
  readonly axes: Matrix
  /** `[components]`: variance along each. */
  readonly variances: Float64Array
  /** `[rows, components]`: some of the images, in those axes. */
  readonly sample: Matrix
}

/** Rows in the source's principal axes: (x − mean)·axesᵀ. */
export async function inSourceAxes(x: Matrix, source: SourceStatistics, threads = 1): Promise<Matrix> {
  const moved = new Float32Array(x.data.length)
  for (let i = 0, at = 0; i < x.rows; i++)
    for (let j = 0; j < x.cols; j++, at++) moved[at] = x.data[at]! - source.mean[j]!
  return gemm({ ...x, data: moved }, source.axes, { transB: true, threads })
}

/** Mean and covariance (over n − 1) of the rows. */
function moments({ data, rows, cols }: Matrix): { readonly mean: Float64Array; readonly covariance: Float64Array } {
  const mean = new Float64Array(cols)
  for (let i = 0, at = 0; i < rows; i++) for (let j = 0; j < cols; j++, at++) mean[j]! += data[at]! / rows
  const covariance = new Float64Array(cols * cols)
  for (let i = 0; i < rows; i++) {
    const from = i * cols
    for (let p = 0; p < cols; p++) {
      const left = (data[from + p]! - mean[p]!) / Math.max(1, rows - 1)
      for (let q = 0; q <= p; q++) covariance[p * cols + q]! += left * (data[from + q]! - mean[q]!)
    }
  }
  for (let p = 0; p < cols; p++) for (let q = 0; q < p; q++) covariance[q * cols + p] = covariance[p * cols + q]!
  return { mean, covariance }
}

/**
 * Fréchet distance (squared, as FID is) between the source, a Gaussian at 0 with the given variances, and the rows,
 * both in the source's principal axes (Heusel et al. 2017, on leading components so that a few hundred images are
 * enough).
 *
 * @param rows `[n, components]` of {@link inSourceAxes}
 */
export function frechetDistance(rows: Matrix, variances: Float64Array): number {
  const k = rows.cols
  const { mean, covariance } = moments(rows)
  let distance = 0
  const between = new Float64Array(k * k)
  for (let p = 0; p < k; p++) {
    distance += mean[p]! ** 2 + variances[p]! + covariance[p * k + p]!
    for (let q = 0; q < k; q++) between[p * k + q] = Math.sqrt(variances[p]! * variances[q]!) * covariance[p * k + q]!
  }
  for (const value of symmetricEigen(between, k).values) distance -= 2 * Math.sqrt(Math.max(0, value))
  return Math.max(0, distance)
}

/**
 * Squared maximum mean discrepancy with the kernel (x·y / d + 1)³, unbiased (Bińkowski et al. 2018): near 0 for equal
 * distributions, and then as often below it as above.
 */
export function kernelDistance(a: Matrix, b: Matrix): number {
  const kernelSum = (p: Matrix, q: Matrix, same: boolean): number => {
    let sum = 0
    for (let i = 0; i < p.rows; i++) {
      for (let j = 0; j < q.rows; j++) {
        if (same && i === j) continue
        let dot = 0
        for (let k = 0; k < p.cols; k++) dot += p.data[i * p.cols + k]! * q.data[j * q.cols + k]!
        sum += (dot / p.cols + 1) ** 3
      }
    }
    return sum
  }
  return (
    kernelSum(a, a, true) / (a.rows * (a.rows - 1)) +
    kernelSum(b, b, true) / (b.rows * (b.rows - 1)) -
    (2 * kernelSum(a, b, false)) / (a.rows * b.rows)
  )
}

/** Mean entropy of rows of class scores, in parts of the largest possible: 0 sure of one class, 1 knows nothing. */
export function meanEntropy(scores: Matrix): number {
  const { data, rows, cols } = scores
  if (cols < 2 || rows === 0) return 0
  let total = 0
  for (let i = 0; i < rows; i++) {
    const row = data.subarray(i * cols, (i + 1) * cols)
    const sum = row.reduce((all, value) => all + value, 0)
    const isProbability = Math.abs(sum - 1) < 1e-2 && row.every((value) => value >= 0)
    const largest = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY)
    const weights = isProbability ? row : row.map((value) => Math.exp(value - largest))
    const all = weights.reduce((one, value) => one + value, 0)
    for (const weight of weights) {
      const p = weight / all
      if (p > 0) total -= p * Math.log(p)
    }
  }
  return total / rows / Math.log(cols)
}
