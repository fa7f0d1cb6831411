/**
 * Metrics of scores rather than of decisions: ranking (ROC, precision–recall), probability (log-loss, Brier,
 * calibration) and top-k. Every one takes optional row weights, as scikit-learn's `sample_weight`; the bootstrap
 * resamples through them.
 */

/** Rows ordered by falling score, tied rows together: made once, used for every weighting of the same rows. */
export interface Ranking {
  /** Row indices by falling score. */
  readonly order: Int32Array
  /** End (exclusive) of each run of equal scores in `order`. */
  readonly runs: Int32Array
  /** 1 where the row is of the positive class. */
  readonly positive: Uint8Array
  /** The score of each run. */
  readonly thresholds: Float64Array
}

/**
 * @param scores `[all]`, larger means more likely positive
 * @param isPositive `[all]`
 * @param rows which of them are ranked; default all. The ranking keeps their numbers, so weights of all rows fit it as
 * they are.
 */
export function rankRows(
  scores: ArrayLike<number>,
  isPositive: ArrayLike<number | boolean>,
  rows?: ArrayLike<number> | undefined,
): Ranking {
  const chosen = rows ? Int32Array.from(rows) : Int32Array.from({ length: scores.length }, (_, i) => i)
  const order = chosen.sort((a, b) => scores[b]! - scores[a]! || a - b)
  const runs: number[] = []
  const thresholds: number[] = []
  for (let i = 0; i < order.length; i++) {
    const here = scores[order[i]!]!
    if (i + 1 === order.length || scores[order[i + 1]!]! !== here) {
      runs.push(i + 1)
      thresholds.push(here)
    }
  }
  return {
    order,
    runs: Int32Array.from(runs),
    positive: Uint8Array.from({ length: scores.length }, (_, i) => (isPositive[i] ? 1 : 0)),
    thresholds: Float64Array.from(thresholds),
  }
}

/**
 * Walks a ranking from the highest score down; `visit` gets the running weight of positives and negatives after each
 * run.
 */
function walk(
  ranking: Ranking,
  weights: ArrayLike<number> | undefined,
  visit: (hits: number, alarms: number, run: number) => void,
): void {
  let hits = 0
  let alarms = 0
  let at = 0
  for (let run = 0; run < ranking.runs.length; run++) {
    for (const end = ranking.runs[run]!; at < end; at++) {
      const row = ranking.order[at]!
      const weight = weights ? weights[row]! : 1
      if (ranking.positive[row]) hits += weight
      else alarms += weight
    }
    visit(hits, alarms, run)
  }
}

/**
 * Area under the ROC curve by trapezoids, ties counting half (scikit-learn's `roc_auc_score`); null without both kinds
 * of rows.
 */
export function rocAuc(ranking: Ranking, weights?: ArrayLike<number>): number | null {
  let area = 0
  let hits = 0
  let alarms = 0
  walk(ranking, weights, (h, a) => {
    area += ((a - alarms) * (h + hits)) / 2
    hits = h
    alarms = a
  })
  return hits > 0 && alarms > 0 ? area / (hits * alarms) : null
}

/**
 * Sum over thresholds of precision × gain in recall (scikit-learn's `average_precision_score`); null without positives.
 */
export function averagePrecision(ranking: Ranking, weights?: ArrayLike<number>): number | null {
  let sum = 0
  let hits = 0
  walk(ranking, weights, (h, a) => {
    if (h > hits) sum += (h - hits) * (h / (h + a))
    hits = h
  })
  return hits > 0 ? sum / hits : null
}

export interface CurvePoint {
  /** Rows with a score of at least this are called positive. */
  readonly threshold: number
  readonly x: number
  readonly y: number
}

/** Points of the ROC curve (x false positive rate, y true positive rate), from (0, 0) at threshold Infinity. */
export function rocCurve(ranking: Ranking): CurvePoint[] {
  const raw: [number, number, number][] = []
  walk(ranking, undefined, (h, a, run) => raw.push([ranking.thresholds[run]!, a, h]))
  const [, alarms = 0, hits = 0] = raw.at(-1) ?? []
  const start: CurvePoint = { threshold: Number.POSITIVE_INFINITY, x: 0, y: 0 }
  return [
    start,
    ...raw.map(([threshold, a, h]) => ({ threshold, x: alarms > 0 ? a / alarms : 0, y: hits > 0 ? h / hits : 0 })),
  ]
}

/** Points of the precision–recall curve (x recall, y precision) by falling threshold. */
export function precisionRecallCurve(ranking: Ranking): CurvePoint[] {
  const raw: [number, number, number][] = []
  walk(ranking, undefined, (h, a, run) => raw.push([ranking.thresholds[run]!, a, h]))
  const hits = raw.at(-1)?.[2] ?? 0
  return raw.map(([threshold, a, h]) => ({ threshold, x: hits > 0 ? h / hits : 0, y: h / (h + a) }))
}

/** Weighted mean of row values; null when no row has weight. */
export function weightedMean(values: ArrayLike<number>, weights?: ArrayLike<number>): number | null {
  let sum = 0
  let total = 0
  for (let row = 0; row < values.length; row++) {
    const weight = weights ? weights[row]! : 1
    if (weight === 0) continue
    sum += weight * values[row]!
    total += weight
  }
  return total > 0 ? sum / total : null
}

/**
 * Negative log-probability of each row's true class, in nats; its mean is scikit-learn's `log_loss`. Probabilities are
 * clipped by the machine epsilon of the array's own precision, as there.
 *
 * @param probabilities `[rows, classes]`
 */
export function logLossRows(
  truth: ArrayLike<number>,
  probabilities: Float32Array | Float64Array,
  classes: number,
): Float64Array {
  const epsilon = probabilities instanceof Float64Array ? 2 ** -52 : 2 ** -23
  return Float64Array.from({ length: truth.length }, (_, row) => {
    const p = probabilities[row * classes + truth[row]!]!
    return -Math.log(Math.min(Math.max(p, epsilon), 1 - epsilon))
  })
}

/**
 * Squared distance of each row to the one-hot truth, halved for two classes; its mean is scikit-learn's
 * `brier_score_loss` with scale_by_half='auto'.
 */
export function brierRows(truth: ArrayLike<number>, probabilities: ArrayLike<number>, classes: number): Float64Array {
  return Float64Array.from({ length: truth.length }, (_, row) => {
    let sum = 0
    for (let k = 0; k < classes; k++) sum += ((truth[row] === k ? 1 : 0) - probabilities[row * classes + k]!) ** 2
    return classes < 3 ? sum / 2 : sum
  })
}

/**
 * 1 for each row whose true class is among the `k` best scored. Between equal scores the later class counts first, as
 * in scikit-learn's `top_k_accuracy_score`, which is the mean.
 */
export function topKRows(
  truth: ArrayLike<number>,
  scores: ArrayLike<number>,
  classes: number,
  k: number,
): Float64Array {
  return Float64Array.from({ length: truth.length }, (_, row) => {
    const start = row * classes
    const own = truth[row]!
    let before = 0
    for (let c = 0; c < classes; c++) {
      const other = scores[start + c]!
      if (other > scores[start + own]! || (other === scores[start + own]! && c > own)) before++
    }
    return before < k ? 1 : 0
  })
}

/** Each row's largest probability and whether that class is right. */
export interface Confidence {
  readonly confidence: Float64Array
  readonly right: Uint8Array
}

export function confidenceRows(
  truth: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  classes: number,
): Confidence {
  const confidence = new Float64Array(truth.length)
  const right = new Uint8Array(truth.length)
  for (let row = 0; row < truth.length; row++) {
    const start = row * classes
    let best = 0
    for (let k = 1; k < classes; k++) if (probabilities[start + k]! > probabilities[start + best]!) best = k
    confidence[row] = probabilities[start + best]!
    right[row] = best === truth[row] ? 1 : 0
  }
  return { confidence, right }
}

export interface CalibrationBin {
  readonly from: number
  readonly to: number
  readonly rows: number
  /** Mean confidence and share of right rows in the bin; null when it is empty. */
  readonly confidence: number | null
  readonly accuracy: number | null
}

/** Confidence against accuracy in `bins` bins of equal width, `(from, to]` (Guo et al. 2017). */
export function calibrationBins(rows: Confidence, bins = 15, weights?: ArrayLike<number>): CalibrationBin[] {
  const counts = new Float64Array(bins)
  const confidence = new Float64Array(bins)
  const right = new Float64Array(bins)
  for (let row = 0; row < rows.confidence.length; row++) {
    const p = rows.confidence[row]!
    const bin = Math.min(bins - 1, Math.max(0, Math.ceil(p * bins) - 1))
    const weight = weights ? weights[row]! : 1
    counts[bin]! += weight
    confidence[bin]! += weight * p
    if (rows.right[row]) right[bin]! += weight
  }
  return Array.from(counts, (count, i) => ({
    from: i / bins,
    to: (i + 1) / bins,
    rows: count,
    confidence: count > 0 ? confidence[i]! / count : null,
    accuracy: count > 0 ? right[i]! / count : null,
  }))
}

/** Expected calibration error: mean distance of confidence and accuracy over the bins, weighted by their rows. */
export function expectedCalibrationError(rows: Confidence, bins = 15, weights?: ArrayLike<number>): number | null {
  let sum = 0
  let total = 0
  for (const bin of calibrationBins(rows, bins, weights)) {
    if (bin.rows > 0) sum += bin.rows * Math.abs(bin.confidence! - bin.accuracy!)
    total += bin.rows
  }
  return total > 0 ? sum / total : null
}
