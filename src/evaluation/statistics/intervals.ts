import { createRandom } from '../../base/random.js'

/** `numpy.quantile`'s default: linear between the two nearest of the sorted values. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const at = share * (sorted.length - 1)
  const low = Math.floor(at)
  const high = Math.min(low + 1, sorted.length - 1)
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (at - low)
}

/** Mean of the values; null for none. */
export const mean = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length

/** Sample standard deviation (n − 1); null for fewer than two. */
export function deviation(values: readonly number[]): number | null {
  const centre = mean(values)
  if (centre === null || values.length < 2) return null
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1))
}

export interface BootstrapInterval {
  readonly low: number
  readonly high: number
  readonly level: number
  readonly resamples: number
  /** Resamples in which the metric was undefined and that were left out. */
  readonly undefinedResamples: number
}

/** Row weights of one resample: how often each row was drawn. */
export type Resample = Float64Array

/**
 * Draws `resamples` bootstrap samples of whole units with replacement and hands each to `visit` as row weights. The
 * array is reused: read it, do not keep it.
 *
 * @param units `[rows]`, number of the unit (image, patient) each row belongs to; rows of one unit are drawn together
 */
export function bootstrapResamples(
  units: ArrayLike<number>,
  resamples: number,
  seed: number | string,
  visit: (weights: Resample, index: number) => void,
): void {
  const distinct = new Map<number, number>()
  const unitOfRow = Int32Array.from({ length: units.length }, (_, row) => {
    const unit = units[row]!
    let place = distinct.get(unit)
    if (place === undefined) {
      place = distinct.size
      distinct.set(unit, place)
    }
    return place
  })
  const counts = new Int32Array(distinct.size)
  const weights = new Float64Array(units.length)
  const random = createRandom(seed)
  for (let index = 0; index < resamples; index++) {
    counts.fill(0)
    for (let i = 0; i < counts.length; i++) counts[random.int(counts.length)]!++
    for (let row = 0; row < weights.length; row++) weights[row] = counts[unitOfRow[row]!]!
    visit(weights, index)
  }
}

/**
 * The percentile interval of bootstrap values (Efron; scipy's `method='percentile'`); undefined values are left out and
 * counted. Null when nothing is left.
 */
export function percentileInterval(values: readonly (number | null)[], level = 0.95): BootstrapInterval | null {
  const kept = Float64Array.from(values.filter((value) => value !== null)).sort()
  if (kept.length === 0) return null
  const tail = (1 - level) / 2
  return {
    low: quantile(kept, tail),
    high: quantile(kept, 1 - tail),
    level,
    resamples: values.length,
    undefinedResamples: values.length - kept.length,
  }
}

/** Percentile interval of one statistic of weighted rows. */
export function bootstrapInterval(
  units: ArrayLike<number>,
  statistic: (weights: Resample) => number | null,
  options: {
    readonly seed: number | string
    readonly resamples?: number | undefined
    readonly level?: number | undefined
  },
): BootstrapInterval | null {
  const values: (number | null)[] = []
  bootstrapResamples(units, options.resamples ?? 1000, options.seed, (weights) => values.push(statistic(weights)))
  return percentileInterval(values, options.level)
}
