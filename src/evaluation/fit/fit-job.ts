import type { ParamValue } from '../../trainers/contract.js'
import type { OperatingRule } from '../metrics/operating-point.js'
import type { MetricId } from '../metrics/registry.js'
import type { PlannedTrainer } from '../plan/plan.js'

/** One table as fits read it; `x` may live in shared memory. Rows are numbered as in the store. */
export interface FitTable {
  readonly x: Float32Array
  readonly dim: number
  /** Names only, for messages and provenance. */
  readonly name: string
  readonly layer: string
}

/** Everything one fit needs, as plain data that crosses a thread border. */
export interface FitJob {
  readonly id: string
  readonly trainer: PlannedTrainer
  /** Rows of the table, views included; `y`, `units` and `tested` run along. */
  readonly trainRows: Int32Array
  readonly trainY: Int32Array
  /** Image or group of each training row: never divided by inner folds. */
  readonly trainUnits: Int32Array
  readonly trainIds: readonly string[]
  /**
   * Places among the training rows that hold the image itself; the others are augmented views, which no inner fold
   * tests.
   */
  readonly originals: ReadonlySet<number>
  readonly testRows: Int32Array
  readonly testIds: readonly string[]
  readonly classes: readonly string[]
  /** Index of the positive class or null; inner folds score by it. */
  readonly positive: number | null
  readonly metric: MetricId
  /** How the threshold of a binary task is chosen, on training images alone. */
  readonly operating: OperatingRule
  readonly seed: number
  readonly threads: number
}

/** What fits on parts of the training rows need: a search, a threshold. */
export interface InnerJob
  extends Pick<
    FitJob,
    'trainY' | 'trainUnits' | 'trainIds' | 'originals' | 'classes' | 'positive' | 'metric' | 'seed' | 'threads'
  > {
  readonly trainer: Pick<PlannedTrainer, 'preprocess' | 'calibrate' | 'classWeight'>
  /** Weight of each training row; default 1. Fits use them, metrics count every row once. */
  readonly trainWeights?: Float64Array | undefined
}

/** One candidate of a nested search and what its inner folds said. */
export interface TuneTrial {
  readonly params: readonly (readonly [string, ParamValue])[]
  /** Metric on each inner fold; null where undefined. */
  readonly scores: readonly (number | null)[]
  readonly mean: number | null
}

export interface FitResult {
  readonly scoreKind: 'probability' | 'decision'
  /** `[test rows, classes]`. */
  readonly scores: Float32Array
  readonly predicted: Int32Array
  readonly params: readonly (readonly [string, ParamValue])[]
  readonly trials: readonly TuneTrial[]
  /** Score of the positive class from which an image is called positive; null: the classifier's own decision. */
  readonly threshold: number | null
  readonly fitMs: number
  readonly tuneMs: number
  readonly predictMs: number
  readonly modelBytes: number
  readonly facts: Readonly<Record<string, number | string>>
}
