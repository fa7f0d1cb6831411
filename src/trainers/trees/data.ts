import { Fc7Error } from '../../base/errors.js'
import type { TrainingSet } from '../contract.js'
import { maxTreeRows } from './binning.js'
import type { TreeData } from './classification.js'
import { shared, sharedFloats } from './pool.js'
import type { TreeJob } from './work.js'

/** Largest array of bins or columns. */
const maxValues = 2 ** 32

/**
 * Refuses what the trees' arrays cannot hold.
 *
 * @throws Fc7Error TRAINER_TOO_LARGE
 */
export function checkTreeSize(rows: number, cols: number): void {
  if (rows <= maxTreeRows && rows * cols <= maxValues) return
  throw new Fc7Error('TRAINER_TOO_LARGE', `Trees cannot be grown on ${rows} rows of ${cols} numbers.`, {
    hint: `At most ${maxTreeRows} rows and ${maxValues} numbers fit: train on fewer rows, or on fewer columns (pca:<n>).`,
  })
}

/** Room for bins of one or two bytes, or for the values column by column; {@link columnJobs} fill it. */
export function treeData(
  { x, y, classes, weights }: TrainingSet,
  kind: 'bytes' | 'words' | 'columns',
  share: boolean,
): { data: TreeData; weights?: Float64Array } {
  const size = x.rows * x.cols
  const own = share ? sharedFloats(x.data) : x.data
  const codes =
    kind === 'bytes'
      ? share
        ? shared.uint8(size)
        : new Uint8Array(size)
      : kind === 'words'
        ? share
          ? shared.uint16(size)
          : new Uint16Array(size)
        : new Uint8Array(0)
  const columns = kind !== 'columns' ? new Float32Array(0) : share ? shared.float32(size) : new Float32Array(size)
  return {
    data: { x: own, rows: x.rows, cols: x.cols, classes: classes.length, y, codes, columns },
    ...(weights ? { weights } : {}),
  }
}

/** Columns in one job: a few jobs a thread, none too small. */
export function columnJobs(cols: number, threads: number): TreeJob[] {
  const step = Math.max(64, Math.ceil(cols / (threads * 4) / 16) * 16)
  return Array.from({ length: Math.ceil(cols / step) }, (_, k) => ({
    kind: 'columns',
    from: k * step,
    to: Math.min(cols, (k + 1) * step),
  }))
}
