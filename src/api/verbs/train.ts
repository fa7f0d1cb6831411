import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Fc7Error } from '../../base/errors.js'
import { formatSeconds } from '../../base/text.js'
import { type Classifier, fitClassifier } from '../../classifiers/classifier.js'
import { onnxName } from '../../classifiers/classifier-file.js'
import { checkMemory, type EstimatedMemory, estimateMemory, memoryWords } from '../../classifiers/memory.js'
import { provenanceOf } from '../../classifiers/store-provenance.js'
import { readWeights } from '../../classifiers/weights-file.js'
import { openStore, readTable, type Store } from '../../embeddings/store/store.js'
import { fitTuned } from '../../evaluation/fit/tuned-fit.js'
import type { MetricId } from '../../evaluation/metrics/registry.js'
import type { TuneOptions } from '../../evaluation/plan/tuning-plan.js'
import type { CalibrationKind } from '../../trainers/calibration/calibration.js'
import type { ParamValue, Trainer } from '../../trainers/contract.js'
import { resolveParams } from '../../trainers/params.js'
import { formatPreprocess, parsePreprocess } from '../../trainers/preprocess/preprocess.js'
import { getTrainer } from '../../trainers/registry.js'
import { trainingSetOf } from '../../trainers/training-set.js'
import { type CommonOptions, type Context, contextOf } from '../shared/context.js'

export interface TrainOptions extends CommonOptions {
  /** Store folder, or an open store. */
  readonly store: string | Store
  /** Id of a trainer, such as `linear-svm`. */
  readonly trainer: string
  /** Hyper-parameters by name; those left out keep their defaults. */
  readonly params?: Readonly<Record<string, ParamValue>> | ReadonlyMap<string, ParamValue> | undefined
  /** Searches hyper-parameters by inner folds of the training rows; what `params` names stays. */
  readonly tune?: TuneOptions | undefined
  /** What the search ranks candidates by. Default `accuracy`. */
  readonly metric?: MetricId | undefined
  /** Rows to fit on. Default: the train split if there is one, else all. */
  readonly split?: 'train' | 'val' | 'test' | undefined
  /** Needed where the store holds several. */
  readonly layer?: string | undefined
  /** Such as `l2` or `standardise+pca:64`. Default: what suits the trainer. */
  readonly preprocess?: string | undefined
  readonly classWeight?: 'none' | 'balanced' | undefined
  /** CSV with the columns id (or path) and weight. */
  readonly weights?: string | undefined
  /** Turns scores into probabilities. */
  readonly calibrate?: CalibrationKind | undefined
  /** Seconds after which it gives up. */
  readonly timeLimitSeconds?: number | undefined
  /** Bytes that it may take. Default: nine tenths of the machine's. */
  readonly memoryBytes?: number | undefined
  /** Threads in all. Default: the cores. */
  readonly threads?: number | undefined
  /** Writes classifier.onnx as well, from embeddings to classes. */
  readonly onnx?: boolean | undefined
  /** Classifier folder to write. Default: nothing is written. */
  readonly out?: string | undefined
}

/** What {@link train} would fit. */
export interface PlannedTraining {
  readonly trainer: string
  readonly title: string
  readonly rows: number
  readonly columns: number
  readonly split: string | null
  readonly classes: readonly string[]
  readonly params: ReadonlyMap<string, ParamValue>
  readonly preprocess: string
  readonly memory: EstimatedMemory
}

export interface TrainResult {
  readonly classifier: Classifier
  readonly title: string
  readonly rows: number
  readonly seconds: number
  readonly memory: EstimatedMemory
  /** The ONNX file, where one was asked for. */
  readonly onnx: string | null
}

/** Everything that a fit needs, looked up and checked. */
async function prepare(options: TrainOptions, context: Context) {
  const trainer = getTrainer(options.trainer)
  if (options.onnx && trainer.reference)
    throw new Fc7Error('ONNX_NOT_SUPPORTED', `A classifier of ${trainer.id} cannot be written as ONNX.`, {
      hint: 'Reference trainers stay in JavaScript; leave --onnx out, or choose another trainer.',
    })
  const params = resolveParams(trainer.params, options.params ?? {})
  const store = typeof options.store === 'string' ? await openStore(options.store) : options.store
  const table = await readTable(store, options.layer)
  const { set, split, rows } = trainingSetOf(table, options.split)
  const weights = options.weights === undefined ? undefined : await readWeights(options.weights, table, rows)
  const threads = options.threads ?? availableParallelism()
  context.progress.say(
    `Fitting ${trainer.title} on ${set.x.rows} rows${split ? ` of the ${split} split` : ''}, ` +
      `${set.classes.length} classes.`,
  )
  const memory = estimateMemory({
    trainer,
    set,
    params,
    preprocess: options.preprocess,
    threads,
    calibrate: options.calibrate,
    tune: options.tune !== undefined,
    otherNumbers: table.x.length,
  })
  checkMemory(memory, trainer, options.memoryBytes)
  context.progress.say(memoryWords(memory))
  return { trainer, params, store, table, set, split, rows, weights, threads, memory }
}

/** Reads the rows, checks size and memory; fits nothing. */
export async function planTrain(options: TrainOptions): Promise<PlannedTraining> {
  const { trainer, params, set, split, memory } = await prepare(options, contextOf(options))
  const preprocess = formatPreprocess(parsePreprocess(options.preprocess ?? trainer.defaultPreprocess))
  trainer.checkSize?.(set.x.rows, set.x.cols, set.classes.length)
  const { rows, cols: columns } = set.x
  return {
    trainer: trainer.id,
    title: trainer.title,
    rows,
    columns,
    split: split ?? null,
    classes: set.classes,
    params,
    preprocess,
    memory,
  }
}

function warnUnlessConverged(classifier: Classifier, trainer: Trainer, context: Context): void {
  if (classifier.facts.converged !== 'no') return
  context.progress.say(
    `Warning: ${trainer.id} had not converged when it stopped; its objective may be above the best. Allow ` +
      'more iterations (--set max_iter=…), a smaller C, or a larger tol.',
  )
}

/** Fits a classifier on a store's embeddings. */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const context = contextOf(options)
  const { trainer, store, table, set, rows, weights, threads, memory } = await prepare(options, context)
  const started = performance.now()
  const task = context.progress.task({ label: trainer.id, total: 100, unit: '%' })
  const fit = {
    trainer,
    set: { ...set, weights: weights?.values ?? set.weights },
    params: options.params ?? {},
    preprocess: options.preprocess,
    classWeight: options.classWeight,
    calibrate: options.calibrate,
    seed: context.seed,
    threads,
    timeLimitSeconds: options.timeLimitSeconds,
    provenance: { ...provenanceOf(store, table.layer), weights: weights?.sha256 },
    signal: context.signal,
    onProgress: (fraction: number) => task.update(Math.round(fraction * 100)),
  }
  const { tune, metric } = options
  const originals = new Set([...rows.keys()].filter((place) => table.views[rows[place]!] === 0))
  const classifier = tune ? await fitTuned({ ...fit, tune, originals, metric }) : await fitClassifier(fit)
  const seconds = (performance.now() - started) / 1000
  task.end(`${trainer.id}  fitted in ${formatSeconds(seconds)}`)
  warnUnlessConverged(classifier, trainer, context)
  if (options.out !== undefined) await classifier.save(options.out, { onnx: options.onnx })
  const onnx = options.onnx && options.out !== undefined ? join(options.out, onnxName) : null
  return { classifier, title: trainer.title, rows: set.x.rows, seconds, memory, onnx }
}
