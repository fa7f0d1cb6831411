import { uncollectedBytes } from '../../linalg/gemm.js'
import { maxRank, sampledRows } from './preconditioner.js'

/** `columns` machines of `cols` weights each. */
export interface LinearSize {
  readonly rows: number
  readonly cols: number
  readonly columns: number
  readonly entries: number
}

/** Margins, their change, their derivative and two of the solver's own, float32. */
const marginArrays = 5
/** Point, gradient, the next one, direction and two of a line search, float64; then steps and changes remembered. */
const vectors = { plain: 6 + 20, preconditioned: 6 + 12 } as const

/** Dual on the Gram matrix: that matrix, the coefficients, the weights twice. */
export const gramDualBytes = ({ rows, cols, columns }: LinearSize): number =>
  4 * rows * rows + 12 * rows * columns + 8 * cols * columns + 100 * rows

/** Dual coordinate descent: the numbers that are not zero with their places, the coefficients, the weights. */
export const descentBytes = ({ rows, cols, columns, entries }: LinearSize): number =>
  8 * rows * entries + 8 * rows * columns + 4 * cols * columns + 8 * cols + 50 * rows

/** The sample that a spectrum is read off, and its directions. */
export const spectrumBytes = (rows: number, cols: number): number =>
  4 * (Math.min(sampledRows, rows) + 4 * maxRank) * (cols + 1)

/** L-BFGS over the weights: no copy of the rows. */
export const primalBytes = ({ rows, cols, columns }: LinearSize): number =>
  8 * vectors.preconditioned * columns * (cols + 1) +
  16 * columns * cols +
  4 * marginArrays * rows * columns +
  spectrumBytes(rows, cols) +
  uncollectedBytes(8 * rows * columns + 28 * columns * cols)

/** L-BFGS over combinations of the rows. */
export const gramSpaceBytes = ({ rows, cols, columns }: LinearSize): number =>
  4 * rows * rows +
  8 * vectors.plain * columns * (2 * rows + 1) +
  4 * marginArrays * rows * columns +
  8 * columns * cols +
  uncollectedBytes(8 * rows * columns + 28 * columns * 2 * rows)
