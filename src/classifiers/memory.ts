import { Fc7Error } from '../base/errors.js'
import { formatBytes } from '../base/text.js'
import { machineFacts } from '../runtime/machine.js'
import type { CalibrationKind } from '../trainers/calibration/calibration.js'
import type { FitSize, Params, Trainer, TrainingSet } from '../trainers/contract.js'
import { countEntries } from '../trainers/linear/choice.js'
import { parsePreprocess, preprocessMemory } from '../trainers/preprocess/preprocess.js'

/** Node.js, fc7 and onnxruntime themselves, before any row is read. */
const programBytes = 120e6

/** What a fit is estimated to take, in bytes; how near that comes is in docs/classifier.md. */
export interface EstimatedMemory {
  readonly programBytes: number
  /** The rows as read and those picked to train on. */
  readonly rowsBytes: number
  /** Most that preprocessing takes: copies of the rows, and what it works with. */
  readonly preprocessBytes: number
  /** Most that the trainer takes beside the prepared rows. */
  readonly trainerBytes: number
  /** What calibration or inner folds add: copies of the rows that a fold leaves. */
  readonly foldBytes: number
  /** The peak of all. */
  readonly totalBytes: number
}

export interface MemoryRequest {
  readonly trainer: Trainer
  readonly set: Pick<TrainingSet, 'x' | 'y' | 'classes'>
  readonly params: Params
  readonly preprocess?: string | undefined
  readonly threads: number
  readonly calibrate?: CalibrationKind | undefined
  /** Whether hyper-parameters are searched on inner folds. */
  readonly tune?: boolean | undefined
  /** Numbers of rows that are held besides those of `set`. */
  readonly otherNumbers?: number | undefined
}

/** Rows, columns and classes of a training set as trainers estimate by them; classes without rows are not fitted. */
export function sizeOf({ x, y, classes }: Pick<TrainingSet, 'x' | 'y' | 'classes'>, threads: number): FitSize {
  const counts = new Array<number>(classes.length).fill(0)
  for (const label of y) counts[label]!++
  return {
    rows: x.rows,
    cols: x.cols,
    counts: counts.filter((count) => count > 0),
    entries: countEntries(x) / Math.max(1, x.rows),
    threads,
  }
}

/** Estimates a fit's memory from its size and settings alone; nothing is fitted. */
export function estimateMemory(request: MemoryRequest): EstimatedMemory {
  const { trainer, set, params, threads, calibrate, tune = false, otherNumbers = 0 } = request
  const size = sizeOf(set, threads)
  const steps = parsePreprocess(request.preprocess ?? trainer.defaultPreprocess)
  const prepared = preprocessMemory(steps, size)
  const trainerBytes = Math.ceil(
    trainer.estimatedBytes({ ...size, cols: prepared.cols, entries: prepared.entries }, params),
  )
  const rowsBytes = 4 * (set.x.data.length + otherNumbers)
  // A fold's rows are picked from the set's, and those it leaves out after them.
  const foldBytes = (calibrate ? 1 : 0) * 4 * set.x.data.length + (tune ? 4 * set.x.data.length : 0)
  const fit = Math.max(prepared.peakBytes, prepared.keptBytes + trainerBytes)
  return {
    programBytes,
    rowsBytes,
    preprocessBytes: prepared.peakBytes,
    trainerBytes,
    foldBytes,
    totalBytes: programBytes + rowsBytes + fit + foldBytes,
  }
}

/**
 * Refuses a fit that would not fit.
 *
 * @param limitBytes what it may take; default nine tenths of this machine's memory
 * @throws Fc7Error TRAINER_MEMORY
 */
export function checkMemory({ totalBytes }: EstimatedMemory, trainer: Trainer, limitBytes?: number): void {
  const limit = limitBytes ?? 0.9 * machineFacts().memoryBytes
  if (totalBytes <= limit) return
  throw new Fc7Error(
    'TRAINER_MEMORY',
    `${trainer.title} would need about ${formatBytes(totalBytes)}, ` +
      `${limitBytes === undefined ? 'of this machine’s memory it may take' : '--memory-limit allows'} ` +
      `${formatBytes(Math.round(limit))}.`,
    {
      hint:
        'Train on fewer rows or columns (--preprocess pca:<n>), with another trainer, or a smaller cache of ' +
        'kernel-svm (--set cache_size=<MB>).',
    },
  )
}

/** In words, largest part first. */
export function memoryWords(memory: EstimatedMemory): string {
  const parts = [
    ['rows', memory.rowsBytes],
    ['preprocessing', memory.preprocessBytes],
    ['the trainer', memory.trainerBytes],
    ['folds', memory.foldBytes],
  ] as const
  const words = [...parts]
    .filter(([, bytes]) => bytes > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([name, bytes]) => `${name} ${formatBytes(bytes)}`)
  return `About ${formatBytes(memory.totalBytes)} of memory estimated: ${words.join(', ')}.`
}
