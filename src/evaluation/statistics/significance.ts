import { chiSquaredTail, fairBinomial, normalTwoSided, studentTwoSided } from './distributions.js'
import { deviation, mean } from './intervals.js'

export interface TestResult {
  readonly statistic: number
  readonly p: number
}

/**
 * Nadeau and Bengio's corrected resampled t-test (2003), two-sided: fold differences share training rows, so the
 * variance is widened by test rows / training rows.
 *
 * @param differences one difference of the metric for each fold of each repeat
 * @param testShare test rows over training rows of a fold, such as 0.25 in 5-fold cross-validation
 * @returns null for fewer than two folds
 */
export function correctedResampledT(
  differences: readonly number[],
  testShare: number,
): (TestResult & { readonly freedom: number }) | null {
  const spread = deviation(differences)
  const centre = mean(differences)
  if (spread === null || centre === null) return null
  const freedom = differences.length - 1
  const error = spread * Math.sqrt(1 / differences.length + testShare)
  if (error === 0)
    return centre === 0
      ? { statistic: 0, p: 1, freedom }
      : { statistic: centre > 0 ? Number.MAX_VALUE : -Number.MAX_VALUE, p: 0, freedom }
  const statistic = centre / error
  return { statistic, p: studentTwoSided(statistic, freedom), freedom }
}

/**
 * McNemar's test on the rows where exactly one of two classifiers is right.
 *
 * @param onlyFirst rows only the first got right
 * @param onlySecond rows only the second got right
 * @returns the exact binomial p and its mid-p (Fagerland 2013), which keeps its level with more power
 */
export function mcNemar(
  onlyFirst: number,
  onlySecond: number,
): { readonly exact: number; readonly midP: number; readonly discordant: number } {
  const n = onlyFirst + onlySecond
  if (n === 0) return { exact: 1, midP: 1, discordant: 0 }
  const smaller = Math.min(onlyFirst, onlySecond)
  let tail = 0
  for (let k = 0; k <= smaller; k++) tail += fairBinomial(k, n)
  const exact = Math.min(1, 2 * tail)
  return { exact, midP: Math.min(1, 2 * tail - fairBinomial(smaller, n)), discordant: n }
}

/** Ranks 1… of the values, largest value rank 1, ties sharing the mean of their ranks. */
export function averageRanks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[b]! - values[a]!)
  const ranks = new Array<number>(values.length)
  for (let i = 0; i < order.length; ) {
    let end = i + 1
    while (end < order.length && values[order[end]!] === values[order[i]!]) end++
    for (let j = i; j < end; j++) ranks[order[j]!] = (i + 1 + end) / 2
    i = end
  }
  return ranks
}

export interface FriedmanResult extends TestResult {
  /** Mean rank of each treatment, 1 is best. */
  readonly meanRanks: readonly number[]
  readonly blocks: number
}

/**
 * Friedman's rank test over several data sets, corrected for ties (scipy's `friedmanchisquare`).
 *
 * @param values `[data sets][trainers]`, larger is better
 * @returns null for fewer than two data sets or three trainers
 */
export function friedman(values: readonly (readonly number[])[]): FriedmanResult | null {
  const blocks = values.length
  const treatments = values[0]?.length ?? 0
  if (blocks < 2 || treatments < 3) return null
  const sums = new Array<number>(treatments).fill(0)
  let ties = 0
  for (const row of values) {
    const counts = new Map<number, number>()
    averageRanks(row).forEach((rank, i) => {
      sums[i]! += rank
      counts.set(row[i]!, (counts.get(row[i]!) ?? 0) + 1)
    })
    for (const count of counts.values()) ties += count * (count * count - 1)
  }
  const correction = 1 - ties / (treatments * (treatments * treatments - 1) * blocks)
  const meanRanks = sums.map((sum) => sum / blocks)
  if (correction === 0) return { statistic: 0, p: 1, meanRanks, blocks }
  const squares = sums.reduce((sum, value) => sum + value * value, 0)
  const statistic =
    ((12 / (treatments * blocks * (treatments + 1))) * squares - 3 * blocks * (treatments + 1)) / correction
  return { statistic, p: chiSquaredTail(statistic, treatments - 1), meanRanks, blocks }
}

/** Two-sided p of the difference of two mean ranks after a Friedman test (Demšar 2006). */
export function rankDifference(first: number, second: number, treatments: number, blocks: number): TestResult {
  const statistic = (first - second) / Math.sqrt((treatments * (treatments + 1)) / (6 * blocks))
  return { statistic, p: normalTwoSided(statistic) }
}

/** Holm's step-down correction: adjusted p values in the order given, never below the raw ones. */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]!)
  const adjusted = new Array<number>(pValues.length)
  let running = 0
  order.forEach((index, place) => {
    running = Math.max(running, Math.min(1, pValues[index]! * (pValues.length - place)))
    adjusted[index] = running
  })
  return adjusted
}
