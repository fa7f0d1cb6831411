import type { Matrix } from '../contract.js'
import { maxGramRows, prefersGram } from './solvers/space.js'

export type SvmLoss = 'hinge' | 'squared_hinge'

export type SvmSolver = 'dual coordinate descent' | 'dual coordinate descent on the Gram matrix' | 'L-BFGS'

/**
 * Where the solvers cross, measured on two threads with generated embeddings of 48 hidden causes, cut off at the
 * threshold that leaves a share of them (seconds):
 *
 * | rows × columns, classes | share | on sparse rows | Gram matrix | L-BFGS |
 * | --- | --- | --- | --- | --- |
 * | 300 × 2048, 10, squared hinge | 0.05 / 0.2 | 0.08 / 0.11 | 0.05 / 0.02 | |
 * | 1000 × 2048, 10, squared hinge | 0.05 / 0.1 / 0.2 | 0.09 / 0.14 / 0.26 | 0.16 / 0.14 / 0.14 | |
 * | 1000 × 2048, 10, hinge | 0.02 / 0.1 / 0.3 | 0.08 / 0.22 / 0.50 | 0.37 / 0.30 / 0.20 | |
 * | 3000 × 2048, 10, hinge | 0.1 / 0.3 | 0.6 / 1.5 | 1.6 / 1.4 | |
 * | 3000 × 512, 10, squared hinge | 0.05 / 0.1 / 0.5 | 0.10 / 0.13 / 0.98 | | 0.16 / 0.13 / 0.20 |
 * | 3000 × 2048, 10, squared hinge | 0.05 / 0.1 / 0.2 | 0.23 / 0.37 / 0.81 | | 0.48 / 0.45 / 0.5 |
 * | 5000 × 4096, 20, squared hinge | 0.05 / 0.1 / 0.2 | 1.4 / 2.2 / 4.0 | | 3.8 / 2.8 / 2.0 |
 */
const sparse = {
  /**
   * Rows for every number of a row that is not zero, above which a row is read sooner than a row of the Gram matrix.
   */
  rowsPerEntry: 4,
  /**
   * Share of the numbers that are not zero, up to which passes over the sparse rows cost less than products with all of
   * them.
   */
  density: 0.1,
} as const

/**
 * Rows for every column up to which the dual on the Gram matrix is done no later than L-BFGS where C is 1, whatever the
 * number of classes (1000 × 2048, 10 / 100 classes: 0.2 / 0.7 s both), and far sooner where C is 100 (0.5 s and 4 s;
 * 0.9 s and 10 s).
 */
const gramRowsPerColumn = 0.5

/** How many numbers are not zero. */
export function countEntries({ data }: Matrix): number {
  let count = 0
  for (let i = 0; i < data.length; i++) if (data[i] !== 0) count++
  return count
}

export interface SvmSize {
  readonly rows: number
  readonly cols: number
  /** Machines that are fitted: one a class, one for two. */
  readonly columns: number
  /** Numbers of a row that are not zero, on average. */
  readonly entries: number
}

/** The solver that is done first with rows of this size and sparsity; all of them end at the same objective. */
export function chooseSolver(loss: SvmLoss, { rows, cols, columns, entries }: SvmSize): SvmSolver {
  const short = rows > sparse.rowsPerEntry * entries
  if (loss === 'hinge')
    return short || rows > maxGramRows ? 'dual coordinate descent' : 'dual coordinate descent on the Gram matrix'
  if (short && entries <= sparse.density * cols) return 'dual coordinate descent'
  return prefersGram(rows, cols, columns) || rows <= gramRowsPerColumn * cols
    ? 'dual coordinate descent on the Gram matrix'
    : 'L-BFGS'
}
