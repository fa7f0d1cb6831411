import type { TrainingSet } from '../contract.js'
import { gemm, rowsOf } from '../linalg/gemm.js'

/**
 * The within-class covariance of a training set, as ZᵀZ + diag(ridge): small even where the covariance itself is not.
 */
export interface ClassCovariance {
  /** `[rows, cols]`: centred rows, scaled so that ZᵀZ is the sum of the shrunk covariances over the classes. */
  readonly z: Float32Array
  /** `[cols]` */
  readonly ridge: Float64Array
  /** `[classes, cols]` */
  readonly means: Float64Array
  /** `[classes]`, sum to 1. */
  readonly priors: Float64Array
  /** Shrinkage of the classes, averaged by prior. */
  readonly shrinkage: number
}

/**
 * Σ prior · shrunk covariance over the classes, as scikit-learn's LinearDiscriminantAnalysis (solver lsqr) has it: with
 * a number, (1 − s) C + s · mean variance · I; with `auto`, Ledoit and Wolf's (2004) on the class's standardised
 * columns, scaled back. Weighted rows count by (Σw)² / Σw² as their number.
 */
export async function classCovariance(
  set: TrainingSet,
  shrinkage: number | 'auto',
  threads: number,
  pause: () => void,
): Promise<ClassCovariance> {
  const { x, y, classes } = set
  const { cols } = x
  const order = Int32Array.from([...y.keys()].sort((a, b) => y[a]! - y[b]! || a - b))
  const z = new Float32Array(x.rows * cols)
  const ridge = new Float64Array(cols)
  const means = new Float64Array(classes.length * cols)
  const priors = new Float64Array(classes.length)
  const all = set.weights ? set.weights.reduce((sum, w) => sum + w, 0) : x.rows
  let averaged = 0
  for (let c = 0, from = 0; c < classes.length; c++) {
    pause()
    let to = from
    while (to < order.length && y[order[to]!] === c) to++
    const rows = order.subarray(from, to)
    const share = Float64Array.from(rows, (i) => set.weights?.[i] ?? 1)
    const total = share.reduce((sum, w) => sum + w, 0)
    for (let k = 0; k < share.length; k++) share[k]! /= total
    priors[c] = total / all
    const mean = means.subarray(c * cols, (c + 1) * cols)
    for (const [k, i] of rows.entries()) for (let j = 0; j < cols; j++) mean[j]! += share[k]! * x.data[i * cols + j]!
    const variance = new Float64Array(cols)
    for (const [k, i] of rows.entries())
      for (let j = 0; j < cols; j++) variance[j]! += share[k]! * (x.data[i * cols + j]! - mean[j]!) ** 2
    const scale = variance.map((v, j) => (Math.sqrt(v) > 1e-7 * Math.abs(mean[j]!) ? Math.sqrt(v) : 0))
    const block = { data: z.subarray(from * cols, to * cols), rows: to - from, cols }
    const auto = shrinkage === 'auto'
    // Standardised for Ledoit-Wolf, plain otherwise; times the root of the row's share.
    for (const [k, i] of rows.entries()) {
      const root = Math.sqrt(share[k]!)
      for (let j = 0; j < cols; j++) {
        const centred = x.data[i * cols + j]! - mean[j]!
        block.data[k * cols + j] = auto ? (scale[j]! > 0 ? (root * centred) / scale[j]! : 0) : root * centred
      }
    }
    const s = auto ? await ledoitWolf(block, share, threads) : shrinkage
    averaged += priors[c]! * s
    const factor = Math.sqrt(priors[c]! * (1 - s))
    const plain = variance.reduce((sum, v) => sum + v, 0) / cols
    const standard = scale.reduce((n, v) => n + (v > 0 ? 1 : 0), 0) / cols
    // A column that is constant in the class has the scale 1, scikit-learn's convention.
    const target = (j: number): number => standard * (scale[j]! > 0 ? scale[j]! ** 2 : 1)
    for (let j = 0; j < cols; j++) ridge[j]! += priors[c]! * s * (auto ? target(j) : plain)
    for (let k = 0; k < block.rows; k++)
      for (let j = 0; j < cols; j++) block.data[k * cols + j]! *= auto ? factor * scale[j]! : factor
    from = to
  }
  return { z, ridge, means, priors, shrinkage: averaged }
}

/** Ledoit and Wolf's shrinkage of rows that are standardised and multiplied by the root of their share. */
async function ledoitWolf(
  block: { readonly data: Float32Array; readonly rows: number; readonly cols: number },
  share: Float64Array,
  threads: number,
): Promise<number> {
  const { data, rows, cols } = block
  if (cols === 1 || rows === 0) return 0
  const effective = 1 / share.reduce((sum, w) => sum + w * w, 0)
  let trace = 0
  let fourth = 0
  for (let k = 0; k < rows; k++) {
    let square = 0
    for (let j = 0; j < cols; j++) square += data[k * cols + j]! ** 2
    trace += square
    // The row is √share · x: share · |x|⁴ = square² / share.
    fourth += (square * square) / share[k]!
  }
  const mu = trace / cols
  const frobenius = await squaredGram(block, threads)
  const delta = (frobenius - 2 * mu * trace + cols * mu * mu) / cols
  const beta = Math.min((fourth - frobenius) / (cols * effective), delta)
  return beta <= 0 ? 0 : Math.min(1, beta / delta)
}

/** Sum of the squared entries of XᵀX, which are those of XXᵀ: whichever is smaller is made, in blocks. */
async function squaredGram(
  x: { readonly data: Float32Array; readonly rows: number; readonly cols: number },
  threads: number,
): Promise<number> {
  let sum = 0
  const add = (values: Float32Array): void => {
    for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!
  }
  if (x.rows > x.cols) add((await gemm(x, x, { transA: true, threads })).data)
  else {
    for (let from = 0; from < x.rows; from += 1024)
      add((await gemm(rowsOf(x, from, Math.min(x.rows, from + 1024)), x, { transB: true, threads })).data)
  }
  return sum
}
