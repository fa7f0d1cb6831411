import { throwIfAborted } from '../../base/errors.js'
import { createRandom } from '../../base/random.js'
import { type Classifier, fitClassifier, predictedClasses } from '../../classifiers/classifier.js'
import type { Matrix, ParamValue, Trainer, WarmStart } from '../../trainers/contract.js'
import { pickRows } from '../../trainers/linalg/gemm.js'
import { choosesThreshold, chooseThreshold, thresholdFolds } from '../metrics/operating-point.js'
import { classScores, type MetricId, metricSpec, PreparedOutcome } from '../metrics/registry.js'
import { type Fold, groupedFolds, stratifiedFolds } from '../plan/splitters.js'
import type { TunePlan } from '../plan/tuning-plan.js'
import type { FitJob, FitTable, InnerJob, TuneTrial } from './fit-job.js'

/** Fits preprocessing and model on the given places of the job's training rows only. */
export function fitOn(
  job: InnerJob,
  trainer: Trainer,
  x: Matrix,
  places: ArrayLike<number> | null,
  params: ReadonlyMap<string, ParamValue>,
  table: Pick<FitTable, 'name' | 'layer'>,
  signal?: AbortSignal | undefined,
  warm?: WarmStart | undefined,
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
      ...(job.trainWeights ? { weights: Float64Array.from(pick((i) => job.trainWeights![i]!)) } : {}),
    },
    params,
    preprocess: job.trainer.preprocess,
    classWeight: job.trainer.classWeight,
    calibrate: job.trainer.calibrate ?? undefined,
    seed: job.seed,
    threads: job.threads,
    provenance: { backbone: table.name, layer: table.layer, recipe: '' },
    warm,
    signal,
  })
}

/**
 * Folds of the training rows: whole units where rows share one, plainly stratified (and much faster) where none do.
 * Their test sides hold images themselves, no augmented views.
 */
function innerFolds(job: InnerJob, wanted: number): Pick<Fold, 'train' | 'test'>[] {
  const groups = Array.from(job.trainUnits, String)
  const units = new Set(groups).size
  const shape = { folds: Math.min(wanted, units), seed: createRandom(job.seed).int(2 ** 31) }
  const folds =
    units === groups.length ? stratifiedFolds({ y: job.trainY }, shape) : groupedFolds({ y: job.trainY, groups }, shape)
  return folds
    .map(({ train, test }) => ({ train, test: test.filter((place) => job.originals.has(place)) }))
    .filter(({ train, test }) => test.length > 0 && new Set(train.map((i) => job.trainY[i])).size > 1)
}

/**
 * Scores every candidate on inner folds of the training rows; units (images with their views, groups) stay whole.
 *
 * @param onProgress called after every fit with the share of all fits done
 */
export async function search(
  job: InnerJob,
  plan: TunePlan,
  trainer: Trainer,
  x: Matrix,
  table: Pick<FitTable, 'name' | 'layer'>,
  signal?: AbortSignal | undefined,
  onProgress?: ((fraction: number) => void) | undefined,
): Promise<TuneTrial[]> {
  const folds = innerFolds(job, plan.innerFolds)
  const trials: TuneTrial[] = []
  // Candidates of one fold differ in their parameters alone: each begins where the last one ended.
  const warm: WarmStart[] = folds.map(() => ({}))
  for (const params of plan.candidates) {
    const scores: (number | null)[] = []
    for (const [f, fold] of folds.entries()) {
      throwIfAborted(signal, 'The search')
      const classifier = await fitOn(job, trainer, x, fold.train, new Map(params), table, signal, warm[f])
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
      onProgress?.((trials.length * folds.length + f + 1) / (plan.candidates.length * folds.length))
    }
    const known = scores.filter((score) => score !== null)
    trials.push({ params, scores, mean: known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : null })
  }
  return trials
}

/** The best candidate; of equals the first. */
export function bestTrial(trials: readonly TuneTrial[], metric: MetricId): TuneTrial {
  const sign = metricSpec(metric).better === 'higher' ? 1 : -1
  let found = trials[0]!
  for (const trial of trials) {
    if (trial.mean !== null && (found.mean === null || sign * trial.mean > sign * found.mean)) found = trial
  }
  return found
}

/**
 * The threshold of a binary task from out-of-fold scores of the training images: models of inner folds score the images
 * they did not see, and the rule is applied to all of them together. The tested images have no part in it. Null where
 * the rule needs no choice, and where the training images are too few for inner folds with both classes.
 */
export async function innerThreshold(
  job: FitJob,
  trainer: Trainer,
  x: Matrix,
  params: ReadonlyMap<string, ParamValue>,
  table: FitTable,
  signal?: AbortSignal | undefined,
): Promise<number | null> {
  const { positive, operating } = job
  if (positive === null) return null
  if (!choosesThreshold(operating)) return operating.kind === 'threshold' ? operating.threshold : null
  const scores: number[] = []
  const isPositive: boolean[] = []
  for (const fold of innerFolds(job, thresholdFolds)) {
    throwIfAborted(signal, 'The comparison')
    const classifier = await fitOn(job, trainer, x, fold.train, params, table, signal)
    const outcome = await classifier.predictScores(pickRows(x, fold.test), { threads: job.threads })
    scores.push(
      ...classScores({ scores: outcome, scoreKind: classifier.scoreKind, classes: job.classes.length }, positive),
    )
    isPositive.push(...fold.test.map((place) => job.trainY[place] === positive))
  }
  return isPositive.includes(true) && isPositive.includes(false) ? chooseThreshold(scores, isPositive, operating) : null
}
