import { Fc7Error } from '../../base/errors.js'
import {
  accuracy,
  type Confusion,
  cohenKappa,
  confusionOf,
  macroF1,
  matthews,
  meanClassAccuracy,
  weightedF1,
} from './confusion.js'
import {
  averagePrecision,
  brierRows,
  type Confidence,
  confidenceRows,
  expectedCalibrationError,
  logLossRows,
  type Ranking,
  rankRows,
  rocAuc,
  topKRows,
  weightedMean,
} from './ranking.js'

export const metricIds = [
  'accuracy',
  'mean-class-accuracy',
  'macro-f1',
  'weighted-f1',
  'roc-auc',
  'average-precision',
  'log-loss',
  'brier',
  'ece',
  'kappa',
  'mcc',
  'top-3',
  'top-5',
] as const
export type MetricId = (typeof metricIds)[number]

export interface MetricSpec {
  readonly id: MetricId
  readonly title: string
  readonly better: 'higher' | 'lower'
  /** One line for the report's glossary. */
  readonly meaning: string
}

/** Every metric of a comparison, in the order of tables. */
export const metricSpecs: readonly MetricSpec[] = [
  { id: 'accuracy', title: 'Accuracy', better: 'higher', meaning: 'Share of images that are classified right.' },
  {
    id: 'mean-class-accuracy',
    title: 'Mean class accuracy',
    better: 'higher',
    meaning: 'Recall of each class, averaged: every class counts the same.',
  },
  { id: 'macro-f1', title: 'Macro F1', better: 'higher', meaning: 'F1 of each class, averaged.' },
  { id: 'weighted-f1', title: 'Weighted F1', better: 'higher', meaning: 'F1 of each class, weighted by its images.' },
  {
    id: 'roc-auc',
    title: 'ROC AUC',
    better: 'higher',
    meaning: 'Chance that an image of a class outscores one of another; one against the rest, averaged over classes.',
  },
  {
    id: 'average-precision',
    title: 'Average precision',
    better: 'higher',
    meaning: 'Area under the precision–recall curve; averaged over classes unless one is positive.',
  },
  { id: 'log-loss', title: 'Log-loss', better: 'lower', meaning: 'Mean −ln of the probability of the true class.' },
  { id: 'brier', title: 'Brier score', better: 'lower', meaning: 'Mean squared error of the probabilities.' },
  {
    id: 'ece',
    title: 'Calibration error',
    better: 'lower',
    meaning: 'Distance of confidence and accuracy over 15 bins of confidence.',
  },
  { id: 'kappa', title: "Cohen's kappa", better: 'higher', meaning: 'Agreement beyond chance.' },
  { id: 'mcc', title: 'Matthews correlation', better: 'higher', meaning: 'Correlation of prediction and truth.' },
  { id: 'top-3', title: 'Top 3', better: 'higher', meaning: 'Share with the true class among the three best scored.' },
  { id: 'top-5', title: 'Top 5', better: 'higher', meaning: 'Share with the true class among the five best scored.' },
]

/** @throws Fc7Error USAGE_METRIC with the list */
export function metricSpec(id: string): MetricSpec {
  const found = metricSpecs.find((spec) => spec.id === id)
  if (found) return found
  throw new Fc7Error('USAGE_METRIC', `There is no metric "${id}".`, { hint: `Metrics: ${metricIds.join(', ')}.` })
}

/** Test predictions of one trainer on one table: all folds and repeats together. All arrays are `[predictions]`. */
export interface Outcome {
  readonly truth: Int32Array
  readonly predicted: Int32Array
  /** `[predictions, classes]`. */
  readonly scores: Float32Array | Float64Array
  readonly scoreKind: 'probability' | 'decision'
  readonly classes: number
  /** Index of the positive class of a binary task; null when none is known. */
  readonly positive: number | null
  /** Number of the fit each prediction comes from. */
  readonly fit: Int32Array
}

/**
 * The score by which a prediction is ranked for class `k`: its probability, or for two-class margins the lead over the
 * other class.
 */
export function classScores(outcome: Pick<Outcome, 'classes' | 'scores' | 'scoreKind'>, k: number): Float64Array {
  const { classes, scores, scoreKind } = outcome
  const lead = classes === 2 && scoreKind === 'decision'
  return Float64Array.from(
    { length: scores.length / classes },
    (_, i) => scores[i * classes + k]! - (lead ? scores[i * classes + (1 - k)]! : 0),
  )
}

/** Rows and rankings prepared once, so that a thousand bootstrap weightings cost little. */
export class PreparedOutcome {
  /**
   * Sets of predictions whose scores share one scale, by class: all together for probabilities; margins of different
   * fits are never ranked against each other.
   */
  readonly #parts: readonly Int32Array[]
  readonly #rankings = new Map<number, Ranking>()
  readonly #rows = new Map<MetricId, Float64Array>()
  #confidence: Confidence | undefined

  constructor(readonly outcome: Outcome) {
    const { truth, fit, scoreKind } = outcome
    const all = Int32Array.from({ length: truth.length }, (_, i) => i)
    this.#parts =
      scoreKind === 'probability' ? [all] : [...new Set(fit)].map((number) => all.filter((i) => fit[i] === number))
  }

  #ranking(part: number, k: number): Ranking {
    const key = part * this.outcome.classes + k
    let ranking = this.#rankings.get(key)
    if (!ranking) {
      const own = Uint8Array.from(this.outcome.truth, (truth) => (truth === k ? 1 : 0))
      ranking = rankRows(classScores(this.outcome, k), own, this.#parts[part]!)
      this.#rankings.set(key, ranking)
    }
    return ranking
  }

  #mean(id: MetricId, rows: () => Float64Array, weights?: ArrayLike<number>): number | null {
    let values = this.#rows.get(id)
    if (!values) {
      values = rows()
      this.#rows.set(id, values)
    }
    return weightedMean(values, weights)
  }

  /** Largest probability of each prediction and whether it is right. */
  confidence(): Confidence {
    this.#confidence ??= confidenceRows(this.outcome.truth, this.outcome.scores, this.outcome.classes)
    return this.#confidence
  }

  /** A ranking metric of one class: over all predictions, or the mean over fits whose margins are not comparable. */
  classRanking(
    metric: (ranking: Ranking, weights?: ArrayLike<number>) => number | null,
    k: number,
    weights?: ArrayLike<number> | undefined,
  ): number | null {
    return meanOf(this.#parts.map((_, part) => metric(this.#ranking(part, k), weights)))
  }

  confusion(weights?: ArrayLike<number>): Confusion {
    const { truth, predicted, classes } = this.outcome
    return confusionOf(truth, predicted, classes, weights)
  }

  /** Every metric; null where it is undefined, as log-loss of margins. */
  all(weights?: ArrayLike<number>): Record<MetricId, number | null> {
    const confusion = this.confusion(weights)
    return Object.fromEntries(metricIds.map((id) => [id, this.value(id, weights, confusion)])) as Record<
      MetricId,
      number | null
    >
  }

  value(id: MetricId, weights?: ArrayLike<number>, confusion?: Confusion): number | null {
    const { truth, scores, classes, scoreKind, positive } = this.outcome
    const cells = (): Confusion => confusion ?? this.confusion(weights)
    const probability = scoreKind === 'probability'
    const every = Array.from({ length: classes }, (_, k) => k)
    switch (id) {
      case 'accuracy':
        return accuracy(cells())
      case 'mean-class-accuracy':
        return meanClassAccuracy(cells())
      case 'macro-f1':
        return macroF1(cells())
      case 'weighted-f1':
        return weightedF1(cells())
      case 'kappa':
        return cohenKappa(cells())
      case 'mcc':
        return matthews(cells())
      case 'roc-auc':
        return classes === 2
          ? this.classRanking(rocAuc, positive ?? 1, weights)
          : meanOf(every.map((k) => this.classRanking(rocAuc, k, weights)))
      case 'average-precision':
        return positive !== null
          ? this.classRanking(averagePrecision, positive, weights)
          : meanOf(every.map((k) => this.classRanking(averagePrecision, k, weights)))
      case 'log-loss':
        return probability ? this.#mean(id, () => logLossRows(truth, scores, classes), weights) : null
      case 'brier':
        return probability ? this.#mean(id, () => brierRows(truth, scores, classes), weights) : null
      case 'ece':
        return probability ? expectedCalibrationError(this.confidence(), 15, weights) : null
      case 'top-3':
        return classes > 3 ? this.#mean(id, () => topKRows(truth, scores, classes, 3), weights) : null
      case 'top-5':
        return classes > 5 ? this.#mean(id, () => topKRows(truth, scores, classes, 5), weights) : null
    }
  }
}

/** Mean of what is defined; null when nothing is. */
function meanOf(values: readonly (number | null)[]): number | null {
  const kept = values.filter((value) => value !== null)
  return kept.length > 0 ? kept.reduce((sum, value) => sum + value, 0) / kept.length : null
}
