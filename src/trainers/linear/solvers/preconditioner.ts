import { createRandom } from '../../../base/random.js'
import type { Matrix } from '../../contract.js'
import { symmetricEigen } from '../../linalg/eigen.js'
import { gemm } from '../../linalg/gemm.js'

/** Rows that the spectrum is read off: evenly spaced ones of the set, which is far more than it has directions. */
export const sampledRows = 2048
export const maxRank = 64
/** Below this rank there is too little to win. */
const leastRank = 8
const powerSteps = 1

/** Leading part of Σ xxᵀ over the rows: a few directions by name, one number for all the others. */
export interface Spectrum {
  /** `[rank, width]`, orthonormal rows. */
  readonly vectors: Matrix
  /** `[rank]`, descending. */
  readonly values: Float64Array
  /** Mean of all other eigenvalues. */
  readonly rest: number
}

/**
 * The spectrum of rows, minus `mean` where there is one, else with a one behind them for the bias. Subspace iteration
 * (Halko, Martinsson and Tropp 2011), all large products in onnxruntime. Undefined where the rows are too few or too
 * narrow to profit.
 */
export async function leadingSpectrum(
  x: Matrix,
  mean: Float64Array | undefined,
  threads: number,
): Promise<Spectrum | undefined> {
  const rank = Math.min(maxRank, x.rows >> 2, x.cols >> 2)
  if (rank < leastRank) return undefined
  const sample = sampled(x, mean)
  const width = sample.cols
  let trace = 0
  for (let at = 0; at < sample.data.length; at++) trace += sample.data[at]! * sample.data[at]!
  const random = createRandom(0).fork('spectrum')
  let basis: Matrix = {
    data: Float32Array.from({ length: rank * width }, () => random.normal()),
    rows: rank,
    cols: width,
  }
  for (let step = 0; step <= powerSteps; step++) {
    const left = await gemm(sample, basis, { transB: true, threads })
    basis = await orthonormal(await gemm(left, sample, { transA: true, threads }), threads)
  }
  const scores = await gemm(sample, basis, { transB: true, threads })
  const inner = await gemm(scores, scores, { transA: true, threads })
  const { values, vectors } = symmetricEigen(Float64Array.from(inner.data), basis.rows)
  const rotation = { data: Float32Array.from(vectors), rows: basis.rows, cols: basis.rows }
  const factor = x.rows / sample.rows
  const named = values.reduce((sum, v) => sum + v, 0)
  return {
    vectors: await gemm(rotation, basis, { threads }),
    values: values.map((v) => Math.max(0, v) * factor),
    rest: (Math.max(0, trace - named) * factor) / Math.max(1, width - basis.rows),
  }
}

function sampled(x: Matrix, mean: Float64Array | undefined): Matrix {
  const count = Math.min(sampledRows, x.rows)
  const cols = mean ? x.cols : x.cols + 1
  const data = new Float32Array(count * cols).fill(1)
  for (let i = 0; i < count; i++) {
    const from = Math.floor((i * x.rows) / count) * x.cols
    if (mean) for (let j = 0; j < cols; j++) data[i * cols + j] = x.data[from + j]! - mean[j]!
    else data.set(x.data.subarray(from, from + x.cols), i * cols)
  }
  return { data, rows: count, cols }
}

/**
 * Orthonormal rows with the same span: the eigenvectors of the inner products, taken in float64; dependent ones are
 * dropped.
 */
async function orthonormal(x: Matrix, threads: number): Promise<Matrix> {
  const { rows: n, cols } = x
  const inner = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    const a = x.data.subarray(i * cols, (i + 1) * cols)
    for (let k = 0; k <= i; k++) {
      const b = x.data.subarray(k * cols, (k + 1) * cols)
      let [even, odd] = [0, 0]
      for (let j = 0; j + 1 < cols; j += 2) {
        even += a[j]! * b[j]!
        odd += a[j + 1]! * b[j + 1]!
      }
      const sum = even + odd + (cols % 2 === 1 ? a[cols - 1]! * b[cols - 1]! : 0)
      inner[i * n + k] = sum
      inner[k * n + i] = sum
    }
  }
  const { values, vectors } = symmetricEigen(inner, n)
  const kept = values.filter((v) => v > 1e-9 * values[0]!).length
  const rotation = new Float32Array(kept * n)
  for (let k = 0; k < kept; k++)
    for (let i = 0; i < n; i++) rotation[k * n + i] = vectors[k * n + i]! / Math.sqrt(values[k]!)
  return gemm({ data: rotation, rows: kept, cols: n }, x, { threads })
}

/**
 * u ↦ (1 + c·S)⁻¹u for every column's own curvature c, S being the rows' second moments by their spectrum: near enough
 * the inverse of a linear model's Hessian for a quasi-Newton method to begin from.
 */
export class Preconditioner {
  readonly #spectrum: Spectrum
  readonly #columns: number
  /** Rows that a free bias sees; 0 where the bias is one more column of the spectrum. */
  readonly #freeBiasRows: number
  readonly #threads: number

  constructor(spectrum: Spectrum, columns: number, freeBiasRows: number, threads: number) {
    this.#spectrum = spectrum
    this.#columns = columns
    this.#freeBiasRows = freeBiasRows
    this.#threads = threads
  }

  /**
   * @param vectors each `[columns, size]` @param curvature `[columns]` mean second derivative of a row's loss by its
   * margin
   */
  async apply(vectors: readonly Float64Array[], curvature: Float64Array): Promise<Float64Array[]> {
    const spectrum = this.#spectrum
    const columns = this.#columns
    const freeBiasRows = this.#freeBiasRows
    const width = spectrum.vectors.cols
    const size = vectors[0]!.length / columns
    const flat = new Float32Array(vectors.length * columns * width)
    for (let k = 0; k < vectors.length * columns; k++) {
      const at = (k % columns) * size
      flat.set(vectors[Math.floor(k / columns)]!.subarray(at, at + width), k * width)
    }
    const shaped = await this.shape(flat, curvature)
    return vectors.map((vector, v) => {
      const out = new Float64Array(vector.length)
      for (let k = 0; k < columns; k++) {
        const from = (v * columns + k) * width
        out.set(shaped.subarray(from, from + width), k * size)
        if (freeBiasRows > 0)
          out[k * size + width] = vector[k * size + width]! / Math.max(1e-12, curvature[k]! * freeBiasRows)
      }
      return out
    })
  }

  /** @param flat `[any multiple of columns, width]`, without free biases @returns the same shape in fresh memory */
  async shape(flat: Float32Array, curvature: Float64Array): Promise<Float32Array> {
    const spectrum = this.#spectrum
    const columns = this.#columns
    const threads = this.#threads
    const width = spectrum.vectors.cols
    const rows = flat.length / width
    const { others, named } = this.#factors(curvature)
    const shares = await gemm({ data: flat, rows, cols: width }, spectrum.vectors, { transB: true, threads })
    for (let at = 0; at < shares.data.length; at++) shares.data[at]! *= named[at % named.length]!
    const { data } = await gemm(shares, spectrum.vectors, { threads })
    for (let k = 0, at = 0; k < rows; k++) {
      const other = others[k % columns]!
      for (let j = 0; j < width; j++, at++) data[at]! += other * flat[at]!
    }
    return data
  }

  /** Σ u·shape(u) over the vectors of `flat`, `[columns, width]`. */
  async quadratic(flat: Float32Array, curvature: Float64Array): Promise<number> {
    const columns = this.#columns
    const threads = this.#threads
    const { vectors } = this.#spectrum
    const { others, named } = this.#factors(curvature)
    const shares = await gemm({ data: flat, rows: columns, cols: vectors.cols }, vectors, { transB: true, threads })
    let sum = 0
    for (let at = 0; at < named.length; at++) sum += named[at]! * shares.data[at]! * shares.data[at]!
    for (let k = 0, at = 0; k < columns; k++) {
      let square = 0
      for (let j = 0; j < vectors.cols; j++, at++) square += flat[at]! * flat[at]!
      sum += others[k]! * square
    }
    return sum
  }

  /**
   * By column: what becomes of the directions without a name, and `[columns, rank]` what is added for those that have
   * one.
   */
  #factors(curvature: Float64Array): { others: Float64Array; named: Float64Array } {
    const columns = this.#columns
    const { values, rest } = this.#spectrum
    const others = curvature.map((c) => 1 / (1 + c * rest))
    const named = new Float64Array(columns * values.length)
    for (let k = 0, at = 0; k < columns; k++)
      for (let r = 0; r < values.length; r++, at++) named[at] = 1 / (1 + curvature[k]! * values[r]!) - others[k]!
    return { others, named }
  }
}
