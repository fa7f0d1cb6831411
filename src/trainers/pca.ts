import { createRandom } from '../base/random.js'
import { turnTaker } from '../base/turns.js'
import type { Matrix } from './contract.js'
import { symmetricEigen } from './eigen.js'
import { centred, gemm } from './gemm.js'

/** Up to this many columns (or rows) components come from the full eigenproblem; above, from a random subspace. */
const exactColumns = 512
const exactRows = 256
const oversampling = 16
const powerSteps = 6

export interface Pca {
  readonly mean: Float32Array
  /** `[components, cols]`; divided by each component's standard deviation (rows − 1) when whitening. */
  readonly projection: Matrix
}

/**
 * Principal components of the rows, largest variance first; the entry of largest magnitude of each is positive
 * (scikit-learn's convention). No more than min(rows − 1, cols) come out. Large problems use subspace iteration (Halko,
 * Martinsson and Tropp 2011) with all products in onnxruntime.
 *
 * @throws InterruptedError
 */
export async function fitPca(
  x: Matrix,
  step: { readonly components: number; readonly whiten: boolean },
  { seed, threads, signal }: { readonly seed: number; readonly threads: number; readonly signal?: AbortSignal },
): Promise<Pca> {
  const pause = turnTaker(signal, 'Training')
  const { rows, cols } = x
  const mean64 = new Float64Array(cols)
  for (let i = 0, at = 0; i < rows; i++) for (let j = 0; j < cols; j++, at++) mean64[j]! += x.data[at]! / rows
  const mean = Float32Array.from(mean64)
  const c = centred(x, mean)
  const wanted = Math.max(1, Math.min(step.components, rows - 1, cols))
  const basis = await rowSpace(c, wanted, seed, threads, pause)
  // Within the basis Q (orthonormal rows, [l, cols]) the problem is l × l.
  const scores = await gemm(c, basis, { transB: true, threads })
  const inner = await gemm(scores, scores, { transA: true, threads })
  const { values, vectors } = symmetricEigen(Float64Array.from(inner.data), basis.rows)
  const count = Math.min(wanted, basis.rows)
  const rotation: Matrix = {
    data: Float32Array.from(vectors.subarray(0, count * basis.rows)),
    rows: count,
    cols: basis.rows,
  }
  const projection = await gemm(rotation, basis, { threads })
  for (let k = 0; k < count; k++) {
    const row = projection.data.subarray(k * cols, (k + 1) * cols)
    let largest = 0
    for (const v of row) if (Math.abs(v) > Math.abs(largest)) largest = v
    const deviation = Math.sqrt(Math.max(0, values[k]!) / Math.max(1, rows - 1))
    const floor = 1e-6 * Math.sqrt(Math.max(values[0]!, Number.MIN_VALUE) / Math.max(1, rows - 1))
    const factor = (largest < 0 ? -1 : 1) * (step.whiten ? (deviation > floor ? 1 / deviation : 0) : 1)
    for (let j = 0; j < cols; j++) row[j]! *= factor
  }
  return { mean, projection }
}

/** Orthonormal rows spanning the leading right singular vectors of `c`. */
async function rowSpace(
  c: Matrix,
  wanted: number,
  seed: number,
  threads: number,
  pause: () => Promise<void>,
): Promise<Matrix> {
  if (c.cols <= exactColumns) {
    const data = new Float32Array(c.cols * c.cols)
    for (let j = 0; j < c.cols; j++) data[j * c.cols + j] = 1
    return { data, rows: c.cols, cols: c.cols }
  }
  if (c.rows <= exactRows) return orthonormalRows(c, pause)
  const size = Math.min(wanted + oversampling, c.rows, c.cols)
  const random = createRandom(seed).fork('pca')
  let q: Matrix = {
    data: Float32Array.from({ length: size * c.cols }, () => random.normal()),
    rows: size,
    cols: c.cols,
  }
  for (let step = 0; step <= powerSteps; step++) {
    const left = await gemm(c, await orthonormalRows(q, pause), { transB: true, threads })
    q = await gemm(left, c, { transA: true, threads })
  }
  return orthonormalRows(q, pause)
}

/** Takes off `row` what it has of the unit vector `other`. */
function takeAway(row: Float64Array, other: Float64Array): void {
  let dot = 0
  for (let j = 0; j < row.length; j++) dot += row[j]! * other[j]!
  for (let j = 0; j < row.length; j++) row[j]! -= dot * other[j]!
}

/** Gram–Schmidt on the rows, twice, in float64; dependent rows are dropped. */
async function orthonormalRows(x: Matrix, pause: () => Promise<void>): Promise<Matrix> {
  const kept: Float64Array[] = []
  for (let i = 0; i < x.rows; i++) {
    await pause()
    const row = Float64Array.from(x.data.subarray(i * x.cols, (i + 1) * x.cols))
    const before = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0))
    for (let pass = 0; pass < 2; pass++) for (const other of kept) takeAway(row, other)
    const norm = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0))
    if (norm <= 1e-6 * before || norm === 0) continue
    for (let j = 0; j < row.length; j++) row[j]! /= norm
    kept.push(row)
  }
  if (kept.length === 0) {
    const first = new Float64Array(x.cols)
    first[0] = 1
    kept.push(first)
  }
  const data = new Float32Array(kept.length * x.cols)
  for (const [i, row] of kept.entries()) data.set(row, i * x.cols)
  return { data, rows: kept.length, cols: x.cols }
}
