import { Fc7Error } from '../../base/errors.js'
import type { TrainingSet } from '../contract.js'
import { maxTreeRows } from './bins/binning.js'
import type { TreeData } from './growing/search.js'
import { own, type PoolPlan, shared, sharedRoom } from './pool.js'
import { binArenaBytes } from './wasm/bins/bin-arena.js'
import type { ForestStorage } from './wasm/forest/forest-arena.js'
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
    hint:
      `At most ${maxTreeRows} rows and ${maxValues} numbers fit: train on fewer rows, or on fewer columns ` +
      '(pca:<n>).',
  })
}

/** A thread with its own heap, about. */
const threadBytes = 25e6

/** What a pool's threads hold for themselves, and the copy of the rows that they share. */
export const poolBytes = (
  { rows, cols }: { readonly rows: number; readonly cols: number },
  { workers }: PoolPlan,
): number => binArenaBytes(rows) * (workers + 1) + (workers === 0 ? 0 : 4 * rows * cols + workers * threadBytes)

/**
 * Nodes of so many trees that part every row from all others of another class: as the threads send them, and joined.
 */
export const nodeBytes = (rows: number, trees: number): number => 2 * 28 * trees * Math.min(rows, 0.6 * rows + 100)

/**
 * Space for bins, which {@link columnJobs} fill: of one or two bytes column by column, or as forests read them.
 * `load` copies the rows to where threads share them: to be called before the first job, best while the threads start.
 */
export function treeData(
  { x, y, classes, weights }: TrainingSet,
  kind: 'bytes' | 'words' | ForestStorage,
  share: boolean,
): { setup: { data: TreeData; weights?: Float64Array | undefined }; load(): void } {
  const size = x.rows * x.cols
  const allocate = share ? shared : own
  const values = share ? sharedRoom(x.data) : x.data
  const setup = {
    data: {
      x: values,
      rows: x.rows,
      cols: x.cols,
      classes: classes.length,
      y,
      codes: kind === 'bytes' ? allocate.uint8(size) : kind === 'words' ? allocate.uint16(size) : new Uint8Array(0),
      ...(typeof kind === 'object' ? { forest: kind } : {}),
    },
    weights,
  }
  return {
    setup,
    load() {
      if (values !== x.data) values.set(x.data)
    },
  }
}

/**
 * Columns in one job: many jobs a thread, since those given to a thread that is just starting wait for it; none too
 * small.
 */
export function columnJobs(cols: number, threads: number): TreeJob[] {
  const step = Math.max(64, Math.ceil(cols / (threads * 16) / 64) * 64)
  return Array.from({ length: Math.ceil(cols / step) }, (_, k) => ({
    kind: 'columns',
    from: k * step,
    to: Math.min(cols, (k + 1) * step),
  }))
}
