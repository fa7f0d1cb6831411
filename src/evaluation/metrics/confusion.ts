/** Row sums, column sums and cells of a confusion matrix; rows are the truth, columns the prediction. */
export interface Confusion {
  /** `[classes, classes]`, row-major. */
  readonly cells: Float64Array
  readonly classes: number
  /** `[classes]`, rows of each true class. */
  readonly truth: Float64Array
  /** `[classes]`, rows predicted as each class. */
  readonly predicted: Float64Array
  readonly correct: number
  readonly total: number
}

/** What one class looks like from outside. Null where nothing was there to divide by. */
export interface ClassMetrics {
  readonly precision: number | null
  readonly recall: number | null
  readonly f1: number | null
  /** Rows of the class. */
  readonly support: number
}

/** `value` or null where a ratio has no denominator. */
const ratio = (above: number, below: number): number | null => (below > 0 ? above / below : null)

/**
 * Counts (or sums of `weights`) by true and predicted class.
 *
 * @param truth `[rows]`, class indices below `classes`
 * @param predicted `[rows]`
 */
export function confusionOf(
  truth: ArrayLike<number>,
  predicted: ArrayLike<number>,
  classes: number,
  weights?: ArrayLike<number> | undefined,
): Confusion {
  const cells = new Float64Array(classes * classes)
  for (let i = 0; i < truth.length; i++) cells[truth[i]! * classes + predicted[i]!]! += weights ? weights[i]! : 1
  const truthSums = new Float64Array(classes)
  const predictedSums = new Float64Array(classes)
  let correct = 0
  let total = 0
  for (let i = 0; i < classes; i++) {
    for (let j = 0; j < classes; j++) {
      const cell = cells[i * classes + j]!
      truthSums[i]! += cell
      predictedSums[j]! += cell
      total += cell
    }
    correct += cells[i * classes + i]!
  }
  return { cells, classes, truth: truthSums, predicted: predictedSums, correct, total }
}

/** Share of rows that are right. */
export const accuracy = (c: Confusion): number | null => ratio(c.correct, c.total)

/** Mean of the recalls of the classes that occur (scikit-learn's `balanced_accuracy_score`). */
export function meanClassAccuracy(c: Confusion): number | null {
  let sum = 0
  let present = 0
  for (let k = 0; k < c.classes; k++) {
    if (c.truth[k]! <= 0) continue
    sum += c.cells[k * c.classes + k]! / c.truth[k]!
    present++
  }
  return ratio(sum, present)
}

/**
 * Precision, recall and F1 of each class (scikit-learn's `precision_recall_fscore_support`, null for its zero
 * divisions).
 */
export function classMetrics(c: Confusion): ClassMetrics[] {
  return Array.from({ length: c.classes }, (_, k) => {
    const hits = c.cells[k * c.classes + k]!
    return {
      precision: ratio(hits, c.predicted[k]!),
      recall: ratio(hits, c.truth[k]!),
      f1: ratio(2 * hits, c.truth[k]! + c.predicted[k]!),
      support: c.truth[k]!,
    }
  })
}

/** Mean F1 of the classes that occur in truth or prediction (scikit-learn's `f1_score(average='macro')`). */
export function macroF1(c: Confusion): number | null {
  let sum = 0
  let present = 0
  for (let k = 0; k < c.classes; k++) {
    const below = c.truth[k]! + c.predicted[k]!
    if (below <= 0) continue
    sum += (2 * c.cells[k * c.classes + k]!) / below
    present++
  }
  return ratio(sum, present)
}

/** Mean F1 weighted by the rows of each true class (scikit-learn's `f1_score(average='weighted')`). */
export function weightedF1(c: Confusion): number | null {
  let sum = 0
  for (let k = 0; k < c.classes; k++) {
    const below = c.truth[k]! + c.predicted[k]!
    if (below > 0) sum += (c.truth[k]! * 2 * c.cells[k * c.classes + k]!) / below
  }
  return ratio(sum, c.total)
}

/** Cohen's kappa, unweighted (scikit-learn's `cohen_kappa_score`); null where one class is all there is. */
export function cohenKappa(c: Confusion): number | null {
  if (c.total <= 0) return null
  let chance = 0
  for (let k = 0; k < c.classes; k++) chance += (c.truth[k]! * c.predicted[k]!) / c.total
  const expectedMisses = c.total - chance
  return expectedMisses > 0 ? 1 - (c.total - c.correct) / expectedMisses : null
}

/**
 * Matthews' correlation, its multi-class form by Gorodkin (scikit-learn's `matthews_corrcoef`); 0 where undefined, as
 * there.
 */
export function matthews(c: Confusion): number | null {
  if (c.total <= 0) return null
  let both = 0
  let truths = 0
  let predictions = 0
  for (let k = 0; k < c.classes; k++) {
    both += c.truth[k]! * c.predicted[k]!
    truths += c.truth[k]! ** 2
    predictions += c.predicted[k]! ** 2
  }
  const square = c.total ** 2
  const below = (square - predictions) * (square - truths)
  return below > 0 ? (c.correct * c.total - both) / Math.sqrt(below) : 0
}
