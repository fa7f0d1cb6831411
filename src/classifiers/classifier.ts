import { Fc7Error, throwIfAborted } from '../base/errors.js'
import type { ModelProto } from '../onnx/generated/onnx_pb.js'
import {
  type Calibration,
  type CalibrationKind,
  calibrationFolds,
  fitCalibration,
} from '../trainers/calibration/calibration.js'
import type { Matrix, Model, ParamValue, Trainer, TrainingSet, WarmStart } from '../trainers/contract.js'
import { deadline } from '../trainers/deadline.js'
import { balancedWeights, checkMatrix, checkTrainingSet } from '../trainers/guards.js'
import { type RawParams, resolveParams } from '../trainers/params.js'
import {
  fitPreprocess,
  formatPreprocess,
  type Preprocess,
  type PreprocessStep,
  parsePreprocess,
} from '../trainers/preprocess/preprocess.js'
import { saveClassifier } from './classifier-file.js'
import { classifierModel } from './onnx-form.js'
import type { ClassifierInfo, Provenance } from './provenance.js'

export interface FitOptions {
  readonly trainer: Trainer
  readonly set: TrainingSet
  readonly params?: RawParams | undefined
  /** `none`, `l2`, `standardise`, `pca:128`, `power:0.5+l2` … Default: what suits the trainer. */
  readonly preprocess?: string | undefined
  readonly seed?: number | undefined
  readonly threads?: number | undefined
  readonly classWeight?: 'balanced' | 'none' | undefined
  /** Turns scores into probabilities, fitted on held-out folds of the training rows. */
  readonly calibrate?: CalibrationKind | undefined
  readonly provenance: Provenance
  /** For fits of the same rows with the same preprocessing and other parameters, one after the other. */
  readonly warm?: WarmStart | undefined
  readonly signal?: AbortSignal | undefined
  /** Ends the fit with TIME_LIMIT; nothing half-fitted comes out. */
  readonly timeLimitSeconds?: number | undefined
  readonly onProgress?: ((fraction: number) => void) | undefined
}

export interface ScoreOptions {
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** `[rows]`, for messages. */
  readonly ids?: readonly string[] | undefined
}

/** The decision score of a class that had no training row: below every other, but finite. */
const absentDecision = -1e30

/** Preprocessing, model and calibration together: what `train` writes and `predict` reads. */
export class Classifier {
  constructor(
    readonly info: ClassifierInfo,
    readonly preprocess: Preprocess,
    readonly model: Model,
    readonly calibration?: Calibration | undefined,
  ) {}

  get classes(): readonly string[] {
    return this.info.classes
  }

  get scoreKind(): 'probability' | 'decision' {
    return this.calibration ? 'probability' : this.model.scoreKind
  }

  /** What a class without training rows gets. */
  get absentScore(): number {
    return this.scoreKind === 'probability' ? 0 : absentDecision
  }

  get facts(): Readonly<Record<string, number | string>> {
    return this.model.facts
  }

  /**
   * `[rows, classes]`, row-major; the predicted class is the first largest of a row ({@link predictedClasses}).
   *
   * @param x `[rows, dim]` as extracted: preprocessing happens here
   * @throws Fc7Error CLASSIFIER_MISMATCH for another width, EMBEDDING_NOT_FINITE
   */
  async predictScores(x: Matrix, options: ScoreOptions = {}): Promise<Float32Array> {
    if (x.cols !== this.info.dim) {
      throw new Fc7Error(
        'CLASSIFIER_MISMATCH',
        `The classifier reads embeddings of ${this.info.dim} numbers, these have ${x.cols}.`,
        { hint: `It was trained on ${this.info.provenance.backbone}, layer ${this.info.provenance.layer}.` },
      )
    }
    checkMatrix(x, options.ids)
    throwIfAborted(options.signal, 'Prediction')
    if (x.rows === 0) return new Float32Array(0)
    const ready = await this.preprocess.apply(x, options.threads ?? 1, options.signal)
    const raw = await this.model.scores(ready, options)
    const scores = this.calibration ? this.calibration.apply(raw) : raw
    const { fitted, classes } = this.info
    if (fitted.length === classes.length) return scores
    const wide = new Float32Array(x.rows * classes.length).fill(this.absentScore)
    for (let i = 0; i < x.rows; i++)
      for (const [k, c] of fitted.entries()) wide[i * classes.length + c] = scores[i * fitted.length + k]!
    return wide
  }

  /** This classifier as one ONNX model; see onnx/classifier.ts. @throws Fc7Error ONNX_NOT_SUPPORTED */
  toOnnx(opset?: number): ModelProto {
    return classifierModel(this, opset)
  }

  /** Writes `classifier.json` and `weights.safetensors`, and on request `classifier.onnx`; see classifier-file.ts. */
  save(folder: string, options: { readonly onnx?: boolean | undefined } = {}): Promise<void> {
    return saveClassifier(this, folder, options.onnx ? this.toOnnx() : undefined)
  }
}

/** The first largest score of every row. */
export function predictedClasses(scores: Float32Array, classes: number): Int32Array {
  const out = new Int32Array(classes === 0 ? 0 : scores.length / classes)
  for (let i = 0; i < out.length; i++) {
    let best = 0
    for (let c = 1; c < classes; c++) if (scores[i * classes + c]! > scores[i * classes + best]!) best = c
    out[i] = best
  }
  return out
}

/** The rows of `set` whose classes are numbered without gaps, as trainers see it. */
function compact(set: TrainingSet, counts: Int32Array): { set: TrainingSet; fitted: number[] } {
  const fitted = [...counts.keys()].filter((c) => counts[c]! > 0)
  if (fitted.length === counts.length) return { set, fitted }
  const place = new Map(fitted.map((c, k) => [c, k]))
  return {
    fitted,
    set: { ...set, y: Int32Array.from(set.y, (c) => place.get(c)!), classes: fitted.map((c) => set.classes[c]!) },
  }
}

/**
 * Fits preprocessing, model and (on request) calibration. Everything is learned from these rows only, and a
 * calibration's folds learn their preprocessing again. May run in a worker thread: it touches nothing outside its
 * arguments but onnxruntime sessions of its own.
 *
 * @throws Fc7Error for bad rows (guards.ts), bad parameters (params.ts), sizes a reference trainer would not finish,
 * TIME_LIMIT;
 *   InterruptedError
 */
export async function fitClassifier(options: FitOptions): Promise<Classifier> {
  if (options.timeLimitSeconds === undefined) return fitWithin(options)
  const limit = deadline(options.timeLimitSeconds, { signal: options.signal, what: options.trainer.title })
  try {
    return await fitWithin({ ...options, signal: limit.signal })
  } finally {
    limit.end()
  }
}

/** What part of the progress is preprocessing's: components take about as long as a linear model of them. */
function preparingShare(steps: readonly PreprocessStep[]): number {
  if (steps.length === 0) return 0
  return steps.some(({ kind }) => kind === 'pca') ? 0.5 : 0.1
}

async function fitWithin(options: FitOptions): Promise<Classifier> {
  const { trainer, signal, onProgress, calibrate, seed = 0, threads = 1, classWeight = 'none' } = options
  const params = resolveParams(trainer.params, options.params ?? new Map<string, ParamValue>())
  const steps = parsePreprocess(options.preprocess ?? trainer.defaultPreprocess)
  const counts = checkTrainingSet(options.set)
  const { set, fitted } = compact(options.set, counts)
  trainer.checkSize?.(set.x.rows, set.x.cols, set.classes.length)
  const parts = calibrate ? 1 + calibrationFolds : 1
  const preparing = preparingShare(steps)
  const fitPart = async (part: TrainingSet, place: number): Promise<{ preprocess: Preprocess; model: Model }> => {
    throwIfAborted(signal, 'Training')
    const report = (from: number, to: number) => (fraction: number) =>
      onProgress?.((place + from + (to - from) * fraction) / parts)
    const { preprocess, x } = await fitPreprocess(steps, part.x, {
      seed,
      threads,
      signal,
      onProgress: report(0, preparing),
    })
    throwIfAborted(signal, 'Training')
    const weights = classWeight === 'balanced' ? balancedWeights(part) : part.weights
    const model = await trainer.fit(
      { ...part, x, weights },
      {
        params,
        seed,
        threads,
        // A calibration's folds are other rows.
        ...(options.warm && place === 0 ? { warm: options.warm } : {}),
        signal,
        ...(onProgress ? { onProgress: report(preparing, 1) } : {}),
      },
    )
    return { preprocess, model }
  }
  const { preprocess, model } = await fitPart(set, 0)
  const calibration = calibrate
    ? await fitCalibration(calibrate, set, seed, async (part, fold) => {
        const own = await fitPart(part, 1 + fold)
        return async (x) => own.model.scores(await own.preprocess.apply(x, threads, signal), { threads, signal })
      })
    : undefined
  throwIfAborted(signal, 'Training')
  const info: ClassifierInfo = {
    trainer: trainer.id,
    params,
    preprocess: formatPreprocess(steps),
    classWeight,
    seed,
    classes: options.set.classes,
    fitted,
    dim: options.set.x.cols,
    provenance: options.provenance,
    trainedOn: options.set.ids ?? [],
    trainedImages: [...new Set((options.set.images ?? []).filter((hash) => hash !== null))],
  }
  return new Classifier(info, preprocess, model, calibration)
}
