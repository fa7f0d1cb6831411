import type { Classifier } from '../../classifiers/classifier.js'
import { predictedClasses } from '../../classifiers/classifier.js'
import type { Matrix, Trainer } from '../../trainers/contract.js'
import { pickRows } from '../../trainers/linalg/gemm.js'
import type { FitJob, FitResult, FitTable } from './fit-job.js'
import { bestTrial, fitOn, innerThreshold, search } from './inner-folds.js'

/** Size of what `save` would write: tensors and configuration, preprocessing included. */
function modelBytes(classifier: Classifier): number {
  let bytes = 0
  for (const state of [classifier.model.save(), classifier.preprocess.save()]) {
    bytes += JSON.stringify(state.config).length
    for (const tensor of state.tensors.values()) bytes += tensor.values.byteLength
  }
  return bytes
}

/**
 * Fits one trainer on one fold of one table and scores the fold's test rows. The test rows are not read before the
 * model stands: search, threshold, preprocessing and calibration see training rows only.
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
  if (trials.length > 0) params = bestTrial(trials, job.metric).params.map(([name, value]) => [name, value])
  const threshold = await innerThreshold(job, trainer, x, new Map(params), table, signal)
  const tuned = performance.now()
  const classifier = await fitOn(job, trainer, x, null, new Map(params), table, signal)
  const fitted = performance.now()
  const test = pickRows(all, job.testRows)
  const scores = await classifier.predictScores(test, {
    threads: job.threads,
    ids: job.testIds,
    signal,
  })
  const done = performance.now()
  return {
    scoreKind: classifier.scoreKind,
    scores,
    predicted: predictedClasses(scores, job.classes.length),
    params,
    trials,
    threshold,
    fitMs: fitted - tuned,
    tuneMs: tuned - started,
    predictMs: done - fitted,
    modelBytes: modelBytes(classifier),
    facts: classifier.facts,
  }
}
