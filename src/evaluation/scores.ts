/**
 * Metrics of scores rather than of decisions: ranking (ROC, precision–recall), probability (log-loss, Brier, calibration) and
 * top-k. Every one takes optional row weights, as scikit-learn's `sample_weight`; the bootstrap resamples through them.
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
 * @param scores `[rows]`, larger means more likely positive
 * @param isPositive `[rows]`
 */
export function rankRows(scores: ArrayLike<number>, isPositive: ArrayLike<number | boolean>): Ranking {
  const order = Int32Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[b]! - scores[a]! || a - b)
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

/** Walks a ranking from the highest score down; `visit` gets the running weight of positives and negatives after each run. */
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

/** Area under the ROC curve by trapezoids, ties counting half (scikit-learn's `roc_auc_score`); null without both kinds of rows. */
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

/** Sum over thresholds of precision × gain in recall (scikit-learn's `average_precision_score`); null without positives. */
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

/** Weighted mean over rows. */
function meanOver(rows: number, weights: ArrayLike<number> | undefined, of: (row: number) => number): number | null {
  let sum = 0
  let total = 0
  for (let row = 0; row < rows; row++) {
    const weight = weights ? weights[row]! : 1
    if (weight === 0) continue
    sum += weight * of(row)
    total += weight
  }
  return total > 0 ? sum / total : null
}

/**
 * Mean negative log-probability of the true class, in nats (scikit-learn's `log_loss`): probabilities are clipped by the machine
 * epsilon of the array's own precision, as there.
 */
export function logLoss(
  truth: ArrayLike<number>,
  probabilities: Float32Array | Float64Array,
  classes: number,
  weights?: ArrayLike<number>,
): number | null {
  const epsilon = probabilities instanceof Float64Array ? 2 ** -52 : 2 ** -23
  return meanOver(truth.length, weights, (row) => {
    const p = probabilities[row * classes + truth[row]!]!
    return -Math.log(Math.min(Math.max(p, epsilon), 1 - epsilon))
  })
}

/** Mean squared distance to the one-hot truth, halved for two classes (scikit-learn's `brier_score_loss`, scale_by_half='auto'). */
export function brier(
  truth: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  classes: number,
  weights?: ArrayLike<number>,
): number | null {
  const mean = meanOver(truth.length, weights, (row) => {
    let sum = 0
    for (let k = 0; k < classes; k++) sum += ((truth[row] === k ? 1 : 0) - probabilities[row * classes + k]!) ** 2
    return sum
  })
  return mean === null ? null : classes < 3 ? mean / 2 : mean
}

export interface CalibrationBin {
  readonly from: number
  readonly to: number
  readonly rows: number
  /** Mean confidence and share of right rows in the bin; null when it is empty. */
  readonly confidence: number | null
  readonly accuracy: number | null
}

/** Confidence (largest probability) against accuracy in `bins` bins of equal width, `(from, to]` (Guo et al. 2017). */
export function calibrationBins(
  truth: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  classes: number,
  bins = 15,
  weights?: ArrayLike<number>,
): CalibrationBin[] {
  const rows = new Float64Array(bins)
  const confidence = new Float64Array(bins)
  const right = new Float64Array(bins)
  for (let row = 0; row < truth.length; row++) {
    let best = 0
    for (let k = 1; k < classes; k++)
      if (probabilities[row * classes + k]! > probabilities[row * classes + best]!) best = k
    const p = probabilities[row * classes + best]!
    const bin = Math.min(bins - 1, Math.max(0, Math.ceil(p * bins) - 1))
    const weight = weights ? weights[row]! : 1
    rows[bin]! += weight
    confidence[bin]! += weight * p
    if (best === truth[row]) right[bin]! += weight
  }
  return Array.from(rows, (count, i) => ({
    from: i / bins,
    to: (i + 1) / bins,
    rows: count,
    confidence: count > 0 ? confidence[i]! / count : null,
    accuracy: count > 0 ? right[i]! / count : null,
  }))
}

/** Expected calibration error: mean distance of confidence and accuracy over the bins, weighted by their rows. */
export function expectedCalibrationError(
  truth: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  classes: number,
  bins = 15,
  weights?: ArrayLike<number>,
): number | null {
  let sum = 0
  let total = 0
  for (const bin of calibrationBins(truth, probabilities, classes, bins, weights)) {
    if (bin.rows > 0) sum += bin.rows * Math.abs(bin.confidence! - bin.accuracy!)
    total += bin.rows
  }
  return total > 0 ? sum / total : null
}

/**
 * Share of rows whose true class is among the `k` best scored. Between equal scores the later class counts first, as in
 * scikit-learn's `top_k_accuracy_score`.
 */
export function topK(
  truth: ArrayLike<number>,
  scores: ArrayLike<number>,
  classes: number,
  k: number,
  weights?: ArrayLike<number>,
): number | null {
  return meanOver(truth.length, weights, (row) => {
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
