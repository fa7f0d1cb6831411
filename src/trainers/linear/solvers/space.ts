import type { Matrix } from '../../contract.js'
import { gemm } from '../../linalg/gemm.js'
import type { MarginOrder } from './margin-losses.js'
import { leadingSpectrum, Preconditioner } from './preconditioner.js'

/**
 * Where the weights of a linear model live while they are fitted. A vector is a Float64Array of `columns` slices of
 * `size` numbers, the last of each being its bias.
 */
export interface LinearSpace {
  readonly size: number
  readonly rows: number
  /** Inner product of one column of two vectors, bias included. */
  inner(u: Float64Array, v: Float64Array, column: number): number
  /** Margins of a vector, bias included, laid out as asked. */
  margins(u: Float64Array): Promise<Float32Array>
  /** Gradient of ½‖w‖² + loss, given the loss's derivative by margin; the bias is penalised or not. */
  gradient(w: Float64Array, derivative: Float32Array): Promise<Float64Array>
  /** Near enough the inverse Hessian, where the rows have a spectrum that helps. */
  readonly preconditioner?: Preconditioner | undefined
  /** The weights `[columns, cols]` and biases of a vector. */
  weights(w: Float64Array): Promise<{ weights: Float32Array; bias: Float64Array }>
}

interface SpaceOptions {
  readonly columns: number
  /** liblinear penalises the bias as one more weight; logistic regression leaves it free. */
  readonly penaliseBias: boolean
  readonly threads: number
  readonly order: MarginOrder
}

/** Σ u·v from `from` to `end`: in four sums, so that no addition waits for the one before. */
export function dot(u: Float64Array, v: Float64Array, from: number, end: number): number {
  let [a, b, c, d] = [0, 0, 0, 0]
  let at = from
  for (; at + 3 < end; at += 4) {
    a += u[at]! * v[at]!
    b += u[at + 1]! * v[at + 1]!
    c += u[at + 2]! * v[at + 2]!
    d += u[at + 3]! * v[at + 3]!
  }
  for (; at < end; at++) a += u[at]! * v[at]!
  return a + b + c + d
}

/** Sums over the rows. */
function columnSums(g: Float32Array, columns: number, order: MarginOrder): Float64Array {
  const sums = new Float64Array(columns)
  if (order === 'columns') {
    const rows = g.length / columns
    for (let k = 0, at = 0; k < columns; k++) for (let i = 0; i < rows; i++, at++) sums[k]! += g[at]!
  } else for (let i = 0; i < g.length; i += columns) for (let k = 0; k < columns; k++) sums[k]! += g[i + k]!
  return sums
}

const asMatrix = (data: Float32Array, rows: number, columns: number, order: MarginOrder): Matrix =>
  order === 'rows' ? { data, rows, cols: columns } : { data, rows: columns, cols: rows }

/**
 * The weights themselves, both products with the rows by onnxruntime. With a free bias the columns are centred on the
 * fly: the same model with a shifted bias, far better conditioned on embeddings that are nowhere negative.
 */
export async function primalSpace(
  x: Matrix,
  { columns, penaliseBias, threads, order }: SpaceOptions,
): Promise<LinearSpace> {
  const { rows, cols } = x
  const size = cols + 1
  const mean = new Float64Array(cols)
  if (!penaliseBias) {
    const share = { data: new Float32Array(rows).fill(1 / rows), rows: 1, cols: rows }
    mean.set((await gemm(share, x, { threads })).data)
  }
  const spectrum = await leadingSpectrum(x, penaliseBias ? undefined : mean, threads)
  const compact = new Float32Array(columns * cols)
  const shiftOf = (u: Float64Array, k: number): number => {
    if (penaliseBias) return 0
    let dot = 0
    for (let j = 0, at = k * size; j < cols; j++, at++) dot += u[at]! * mean[j]!
    return dot
  }
  return {
    size,
    rows,
    ...(spectrum ? { preconditioner: new Preconditioner(spectrum, columns, penaliseBias ? 0 : rows, threads) } : {}),
    inner: (u, v, column) => dot(u, v, column * size, (column + 1) * size),
    async margins(u) {
      for (let k = 0; k < columns; k++) compact.set(u.subarray(k * size, k * size + cols), k * cols)
      const flat = { data: compact, rows: columns, cols }
      const [left, right] = order === 'rows' ? [x, flat] : [flat, x]
      const { data } = await gemm(left, right, { transB: true, threads })
      const add = Float64Array.from({ length: columns }, (_, k) => u[k * size + cols]! - shiftOf(u, k))
      if (order === 'columns') {
        for (let k = 0, at = 0; k < columns; k++) for (let i = 0; i < rows; i++, at++) data[at]! += add[k]!
      } else for (let i = 0; i < data.length; i += columns) for (let k = 0; k < columns; k++) data[i + k]! += add[k]!
      return data
    },
    async gradient(w, derivative) {
      const { data } = await gemm(asMatrix(derivative, rows, columns, order), x, { transA: order === 'rows', threads })
      const sums = columnSums(derivative, columns, order)
      const g = new Float64Array(columns * size)
      for (let k = 0; k < columns; k++) {
        const from = k * size
        const sum = penaliseBias ? 0 : sums[k]!
        for (let j = 0; j < cols; j++) g[from + j] = w[from + j]! + data[k * cols + j]! - sum * mean[j]!
        g[from + cols] = sums[k]! + (penaliseBias ? w[from + cols]! : 0)
      }
      return g
    },
    async weights(w) {
      const weights = new Float32Array(columns * cols)
      for (let k = 0; k < columns; k++) weights.set(w.subarray(k * size, k * size + cols), k * cols)
      return {
        weights,
        bias: Float64Array.from({ length: columns }, (_, k) => w[k * size + cols]! - shiftOf(w, k)),
      }
    },
  }
}

/**
 * Weights as combinations of the rows, w = Xᵀβ: for few rows of many columns. A column's slice holds β, then its
 * margins Kβ (which makes inner products cheap), then its bias; every product is with the Gram matrix K.
 */
export async function gramSpace(
  x: Matrix,
  { columns, penaliseBias, threads, order }: SpaceOptions,
): Promise<LinearSpace> {
  const { rows } = x
  const size = 2 * rows + 1
  const gram = await gemm(x, x, { transB: true, threads })
  const at = (i: number, k: number): number => (order === 'rows' ? i * columns + k : k * rows + i)
  return {
    size,
    rows,
    inner(u, v, column) {
      const at = column * size
      let sum = u[at + 2 * rows]! * v[at + 2 * rows]!
      for (let i = 0; i < rows; i++) sum += u[at + i]! * v[at + rows + i]!
      return sum
    },
    async margins(u) {
      const z = new Float32Array(rows * columns)
      for (let k = 0; k < columns; k++) {
        const bias = u[k * size + 2 * rows]!
        for (let i = 0; i < rows; i++) z[at(i, k)] = u[k * size + rows + i]! + bias
      }
      return z
    },
    async gradient(w, derivative) {
      const { data } = await gemm(asMatrix(derivative, rows, columns, order), gram, {
        transA: order === 'rows',
        threads,
      })
      const sums = columnSums(derivative, columns, order)
      const g = new Float64Array(columns * size)
      for (let k = 0; k < columns; k++) {
        const from = k * size
        for (let i = 0; i < rows; i++) {
          g[from + i] = w[from + i]! + derivative[at(i, k)]!
          g[from + rows + i] = w[from + rows + i]! + data[k * rows + i]!
        }
        g[from + 2 * rows] = sums[k]! + (penaliseBias ? w[from + 2 * rows]! : 0)
      }
      return g
    },
    async weights(w) {
      const beta = new Float32Array(columns * rows)
      for (let k = 0; k < columns; k++) beta.set(w.subarray(k * size, k * size + rows), k * rows)
      const { data } = await gemm({ data: beta, rows: columns, cols: rows }, x, { threads })
      return { weights: data, bias: Float64Array.from({ length: columns }, (_, k) => w[k * size + 2 * rows]!) }
    },
  }
}

/** Largest number of rows whose Gram matrix (float32) is held: a quarter of a gigabyte. */
export const maxGramRows = 8192

/**
 * Whether the Gram matrix pays: it costs rows²·cols once and rows²·columns a step, against 2·rows·cols·columns a step.
 */
export function prefersGram(rows: number, cols: number, columns: number): boolean {
  const steps = 60
  return rows * rows * (cols + steps * columns) < 2 * steps * rows * cols * columns && rows <= maxGramRows
}
