import { Fc7Error } from '../../base/errors.js'
import { Classifier, type FitOptions, fitClassifier } from '../../classifiers/classifier.js'
import type { TrainingSet } from '../../trainers/contract.js'
import { deadline } from '../../trainers/deadline.js'
import { checkTrainingSet } from '../../trainers/guards.js'
import { formatPreprocess, parsePreprocess } from '../../trainers/preprocess/preprocess.js'
import { positiveClass } from '../metrics/operating-point.js'
import type { MetricId } from '../metrics/registry.js'
import { type TuneOptions, tunePlan } from '../plan/tuning-plan.js'
import type { InnerJob } from './fit-job.js'
import { bestTrial, search } from './inner-folds.js'

export interface TunedFitOptions extends FitOptions {
  /** Parameters in `params` stay as they are; the others are searched. */
  readonly tune: TuneOptions
  /** What candidates are ranked by; default accuracy. */
  readonly metric?: MetricId | undefined
  /** Places in `set` of images themselves; inner folds test no augmented views. Default all. */
  readonly originals?: ReadonlySet<number> | undefined
}

/** Rows of one group share a number; a row without one has its own. */
function unitsOf({ groups, y }: TrainingSet): Int32Array {
  const known = new Map<string, number>()
  let count = 0
  return Int32Array.from(y, (_, row) => {
    const group = groups?.[row] ?? null
    if (group === null) return count++
    const found = known.get(group)
    if (found !== undefined) return found
    known.set(group, count)
    return count++
  })
}

/**
 * Chooses hyper-parameters as `compare --tune` does inside a fold, by stratified inner folds of the rows, then fits on
 * all of them. The classifier says what was tried (`info.tuning`). A trainer without a free parameter that has a grid
 * is fitted at once.
 *
 * @throws Fc7Error as {@link fitClassifier} and {@link tunePlan}; TUNE_NO_SCORE where no candidate has a score
 */
export async function fitTuned(options: TunedFitOptions): Promise<Classifier> {
  const { tune, metric = 'accuracy', originals, timeLimitSeconds, ...fit } = options
  const { trainer, set, params = new Map(), seed = 0, onProgress } = options
  const plan = tunePlan(trainer, params, tune, trainer.id, { seed })
  if (plan.candidates.length < 2) return fitClassifier(options)
  checkTrainingSet(set)
  const positive = positiveClass(set.classes)
  const job: InnerJob = {
    trainer: {
      preprocess: formatPreprocess(parsePreprocess(options.preprocess ?? trainer.defaultPreprocess)),
      calibrate: options.calibrate ?? null,
      classWeight: options.classWeight ?? 'none',
    },
    trainY: set.y,
    trainUnits: unitsOf(set),
    trainIds: set.ids ?? Array.from(set.y, (_, row) => String(row)),
    originals: originals ?? new Set(set.y.keys()),
    trainWeights: set.weights,
    classes: set.classes,
    positive: positive ? set.classes.indexOf(positive.label) : null,
    metric,
    seed,
    threads: options.threads ?? 1,
  }
  const limit =
    timeLimitSeconds === undefined ? undefined : deadline(timeLimitSeconds, { signal: fit.signal, what: trainer.title })
  const signal = limit?.signal ?? fit.signal
  // The last fit is on more rows than those before it.
  const searched = 1 - 1 / (plan.candidates.length * plan.innerFolds + 1)
  try {
    const source = { name: fit.provenance.backbone, layer: fit.provenance.layer }
    const searchProgress = onProgress && ((fraction: number) => onProgress(searched * fraction))
    const trials = await search(job, plan, trainer, set.x, source, signal, searchProgress)
    const best = bestTrial(trials, metric)
    if (best.mean === null)
      throw new Fc7Error('TUNE_NO_SCORE', `No candidate has a ${metric} on inner folds of these rows.`, {
        hint: 'Choose another --metric, give more rows a class, or set the parameters yourself with --set.',
      })
    const { info, preprocess, model, calibration } = await fitClassifier({
      ...fit,
      params: new Map(best.params),
      signal,
      ...(onProgress ? { onProgress: (fraction) => onProgress(searched + (1 - searched) * fraction) } : {}),
    })
    const tuning = { search: plan.search, innerFolds: plan.innerFolds, metric, trials }
    return new Classifier({ ...info, tuning }, preprocess, model, calibration)
  } finally {
    limit?.end()
  }
}
