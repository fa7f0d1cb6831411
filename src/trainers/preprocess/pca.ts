import { createRandom } from '../../base/random.js'
import { turnTaker } from '../../base/turns.js'
import type { Matrix } from '../contract.js'
import { eachBlock, type Watch } from '../linalg/blocks.js'
import { symmetricEigen } from '../linalg/eigen.js'
import { centred, gemm, rowsOf } from '../linalg/gemm.js'

/** Up to this many columns (or rows) components come from the full eigenproblem; above, from a random subspace. */
const exactColumns = 512
const exactRows = 256
const oversampling = 16
const powerSteps = 6

/**
 * What {@link fitPca} holds at once, about: a subspace in float32 and float64, a few blocks of rows, its inner
 * products.
 */
export function pcaBytes(rows: number, cols: number, components: number): number {
  const width = cols <= exactColumns ? cols : rows <= exactRows ? rows : Math.min(components + oversampling, rows, cols)
  return 28 * width * cols + 32 * width * width + 16 * 2 ** 20
}

export interface Pca {
  readonly mean: Float32Array
  /** `[components, cols]`; divided by each component's standard deviation (rows − 1) when whitening. */
  readonly projection: Matrix
}

/**
 * Principal components of the rows, largest variance first; the entry of largest magnitude of each is positive
 * (scikit-learn's convention). No more than min(rows − 1, cols) come out. Large problems use subspace iteration (Halko,
 * Martinsson and Tropp 2011) with all products in onnxruntime. Rows are centred a block at a time: no copy of all is
 * made.
 *
 * @throws InterruptedError
 */
export async function fitPca(
  x: Matrix,
  step: { readonly components: number; readonly whiten: boolean },
  { seed, threads, signal, onProgress }: Watch & { readonly seed: number; readonly threads: number },
): Promise<Pca> {
  const { rows, cols } = x
  const wanted = Math.max(1, Math.min(step.components, rows - 1, cols))
  const passes = 2 + (cols > exactColumns && rows > exactRows ? 1 + powerSteps : 0)
  let passed = 0
  /** One pass over the rows. */
  const pass = async (work: (from: number, to: number) => void | Promise<void>): Promise<void> => {
    await eachBlock(x, { signal, onProgress: (fraction) => onProgress?.((passed + fraction) / passes) }, work)
    passed++
  }
  const mean64 = new Float64Array(cols)
  await pass((from, to) => {
    for (let i = from, at = from * cols; i < to; i++)
      for (let j = 0; j < cols; j++, at++) mean64[j]! += x.data[at]! / rows
  })
  const mean = Float32Array.from(mean64)
  const centredRows = (work: (block: Matrix) => Promise<void>): Promise<void> =>
    pass((from, to) => work(centred(rowsOf(x, from, to), mean)))
  const pause = turnTaker(signal, 'Training')
  const basis = await rowSpace({ x, mean, wanted, seed, threads, pause, centredRows })
  // Within the basis Q (orthonormal rows, [l, cols]) the problem is l × l.
  const inner = new Float64Array(basis.rows * basis.rows)
  await centredRows(async (block) => {
    const scores = await gemm(block, basis, { transB: true, threads })
    addTo(inner, await gemm(scores, scores, { transA: true, threads }))
  })
  const { values, vectors } = symmetricEigen(inner, basis.rows)
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

function addTo(sums: Float64Array, { data }: Matrix): void {
  for (let i = 0; i < data.length; i++) sums[i]! += data[i]!
}

interface RowSpace {
  readonly x: Matrix
  readonly mean: Float32Array
  readonly wanted: number
  readonly seed: number
  readonly threads: number
  pause(): Promise<void>
  /** One pass over the rows minus their mean. */
  centredRows(work: (block: Matrix) => Promise<void>): Promise<void>
}

/** Orthonormal rows spanning the leading right singular vectors of the centred rows. */
async function rowSpace({ x, mean, wanted, seed, threads, pause, centredRows }: RowSpace): Promise<Matrix> {
  const { rows, cols } = x
  if (cols <= exactColumns) {
    const data = new Float32Array(cols * cols)
    for (let j = 0; j < cols; j++) data[j * cols + j] = 1
    return { data, rows: cols, cols }
  }
  if (rows <= exactRows) return orthonormalRows(centred(x, mean), pause)
  const size = Math.min(wanted + oversampling, rows, cols)
  const random = createRandom(seed).fork('pca')
  let q: Matrix = { data: Float32Array.from({ length: size * cols }, () => random.normal()), rows: size, cols }
  for (let step = 0; step <= powerSteps; step++) {
    const basis = await orthonormalRows(q, pause)
    const sums = new Float64Array(basis.rows * cols)
    await centredRows(async (block) => {
      const left = await gemm(block, basis, { transB: true, threads })
      addTo(sums, await gemm(left, block, { transA: true, threads }))
    })
    q = { data: Float32Array.from(sums), rows: basis.rows, cols }
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
