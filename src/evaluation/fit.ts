import { throwIfAborted } from '../base/errors.js'
import { createRandom } from '../base/random.js'
import { type Classifier, fitClassifier, predictedClasses } from '../trainers/classifier.js'
import type { Matrix, ParamValue, Trainer } from '../trainers/contract.js'
import { pickRows } from '../trainers/gemm.js'
import { type MetricId, metricSpec, PreparedOutcome } from './metric-list.js'
import type { PlannedTrainer } from './plan.js'
import { type Fold, groupedFolds, stratifiedFolds } from './splitters.js'
import type { TunePlan } from './tune-plan.js'

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
  /** Picture or group of each training row: never divided by inner folds. */
  readonly trainUnits: Int32Array
  readonly trainIds: readonly string[]
  readonly testRows: Int32Array
  readonly testIds: readonly string[]
  readonly classes: readonly string[]
  /** Index of the positive class or null; inner folds score by it. */
  readonly positive: number | null
  readonly metric: MetricId
  readonly seed: number
  readonly threads: number
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
  readonly fitMs: number
  readonly tuneMs: number
  readonly predictMs: number
  readonly modelBytes: number
  readonly facts: Readonly<Record<string, number | string>>
}

/** Size of what `save` would write: tensors and configuration, preprocessing included. */
function modelBytes(classifier: Classifier): number {
  let bytes = 0
  for (const state of [classifier.model.save(), classifier.preprocess.save()]) {
    bytes += JSON.stringify(state.config).length
    for (const tensor of state.tensors.values()) bytes += tensor.values.byteLength
  }
  return bytes
}

/** Fits preprocessing and model on the given places of the job's training rows only. */
function fitOn(
  job: FitJob,
  trainer: Trainer,
  x: Matrix,
  places: ArrayLike<number> | null,
  params: ReadonlyMap<string, ParamValue>,
  table: FitTable,
  signal?: AbortSignal,
): Promise<Classifier> {
  const pick = <T>(of: (place: number) => T): T[] =>
    Array.from({ length: places ? places.length : x.rows }, (_, i) => of(places ? places[i]! : i))
  return fitClassifier({
    trainer,
    set: {
      x: places ? pickRows(x, places) : x,
      y: Int32Array.from(pick((i) => job.trainY[i]!)),
      classes: job.classes,
      groups: pick((i) => String(job.trainUnits[i]!)),
      ids: pick((i) => job.trainIds[i]!),
    },
    params,
    preprocess: job.trainer.preprocess,
    classWeight: job.trainer.classWeight,
    ...(job.trainer.calibrate ? { calibrate: job.trainer.calibrate } : {}),
    seed: job.seed,
    threads: job.threads,
    provenance: { backbone: table.name, layer: table.layer, recipe: '' },
    ...(signal ? { signal } : {}),
  })
}

/** Folds of the training rows: whole units where rows share one, plainly stratified (and much faster) where none do. */
function innerFolds(job: FitJob, wanted: number): Fold[] {
  const groups = Array.from(job.trainUnits, String)
  const units = new Set(groups).size
  const shape = { folds: Math.min(wanted, units), seed: createRandom(job.seed).int(2 ** 31) }
  const folds =
    units === groups.length ? stratifiedFolds({ y: job.trainY }, shape) : groupedFolds({ y: job.trainY, groups }, shape)
  return folds.filter((fold) => new Set(fold.train.map((i) => job.trainY[i])).size > 1)
}

/** Scores every candidate on inner folds of the training rows; units (pictures with their views, groups) stay whole. */
async function search(
  job: FitJob,
  plan: TunePlan,
  trainer: Trainer,
  x: Matrix,
  table: FitTable,
  signal?: AbortSignal,
): Promise<TuneTrial[]> {
  const folds = innerFolds(job, plan.innerFolds)
  const trials: TuneTrial[] = []
  for (const params of plan.candidates) {
    const scores: (number | null)[] = []
    for (const fold of folds) {
      throwIfAborted(signal, 'The comparison')
      const classifier = await fitOn(job, trainer, x, fold.train, new Map(params), table, signal)
      const outcome = await classifier.predictScores(pickRows(x, fold.test), { threads: job.threads })
      const truth = Int32Array.from(fold.test, (i) => job.trainY[i]!)
      scores.push(
        new PreparedOutcome({
          truth,
          predicted: predictedClasses(outcome, job.classes.length),
          scores: outcome,
          scoreKind: classifier.scoreKind,
          classes: job.classes.length,
          positive: job.positive,
          fit: new Int32Array(truth.length),
        }).value(job.metric),
      )
    }
    const known = scores.filter((score) => score !== null)
    trials.push({ params, scores, mean: known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : null })
  }
  return trials
}

/** The best candidate; of equals the first. */
function best(trials: readonly TuneTrial[], metric: MetricId): TuneTrial {
  const sign = metricSpec(metric).better === 'higher' ? 1 : -1
  let found = trials[0]!
  for (const trial of trials) {
    if (trial.mean !== null && (found.mean === null || sign * trial.mean > sign * found.mean)) found = trial
  }
  return found
}

/**
 * Fits one trainer on one fold of one table and scores the fold's test rows. The test rows are not read before the model stands:
 * search, preprocessing and calibration see training rows only.
 *
 * @throws Fc7Error from trainers; InterruptedError
 */
export async function runFit(job: FitJob, table: FitTable, trainer: Trainer, signal?: AbortSignal): Promise<FitResult> {
  // Copies: a trainer never sees a row that it was not given.
  const all: Matrix = { data: table.x, rows: table.x.length / table.dim, cols: table.dim }
  const x = pickRows(all, job.trainRows)
  let params = job.trainer.params
  const started = performance.now()
  const plan = job.trainer.tune
  const trials = plan && plan.candidates.length > 1 ? await search(job, plan, trainer, x, table, signal) : []
  if (trials.length > 0) params = best(trials, job.metric).params.map(([name, value]) => [name, value])
  const tuned = performance.now()
  const classifier = await fitOn(job, trainer, x, null, new Map(params), table, signal)
  const fitted = performance.now()
  const test = pickRows(all, job.testRows)
  const scores = await classifier.predictScores(test, {
    threads: job.threads,
    ids: job.testIds,
    ...(signal ? { signal } : {}),
  })
  const done = performance.now()
  return {
    scoreKind: classifier.scoreKind,
    scores,
    predicted: predictedClasses(scores, job.classes.length),
    params,
    trials,
    fitMs: fitted - tuned,
    tuneMs: tuned - started,
    predictMs: done - fitted,
    modelBytes: modelBytes(classifier),
    facts: classifier.facts,
  }
}
