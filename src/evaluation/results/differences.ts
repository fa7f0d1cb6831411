import { metricSpec } from '../metrics/registry.js'
import type { ComparisonPlan } from '../plan/plan.js'
import { mean, percentileInterval } from '../statistics/intervals.js'
import { correctedResampledT, friedman, holm, mcNemar, rankDifference } from '../statistics/significance.js'
import type { Measured } from './outcomes.js'
import type { Difference, FriedmanRecord } from './schema.js'

/** A difference is said to hold below this, after Holm's correction. */
export const significanceLevel = 0.05

interface Tested {
  readonly test: Difference['test']
  readonly statistic: number | null
  readonly p: number | null
}

/**
 * The test that respects the design: fold-wise t for cross-validation and draws, McNemar or a paired bootstrap for one
 * holdout.
 */
function testPair(plan: ComparisonPlan, a: Measured, b: Measured, differences: readonly (number | null)[]): Tested {
  if (a.entry.folds.length > 1) {
    const folds = a.result.metrics[plan.metric].folds.map((value, i) => {
      const other = b.result.metrics[plan.metric].folds[i]
      return value == null || other == null ? null : value - other
    })
    const known = folds.filter((value) => value !== null)
    const share = mean(a.entry.folds.map((fold) => fold.test.length / fold.train.length))!
    const t = known.length === folds.length ? correctedResampledT(known, share) : null
    return { test: t ? 'corrected-resampled-t' : 'none', statistic: t?.statistic ?? null, p: t?.p ?? null }
  }
  if (plan.metric === 'accuracy') {
    const { truth, predicted } = a.entry.outcome
    const other = b.entry.outcome.predicted
    let onlyA = 0
    let onlyB = 0
    for (let i = 0; i < truth.length; i++) {
      const rightA = predicted[i] === truth[i]
      const rightB = other[i] === truth[i]
      if (rightA && !rightB) onlyA++
      if (rightB && !rightA) onlyB++
    }
    return { test: 'mcnemar-mid-p', statistic: onlyA - onlyB, p: mcNemar(onlyA, onlyB).midP }
  }
  const known = differences.filter((value) => value !== null)
  if (known.length === 0) return { test: 'none', statistic: null, p: null }
  const below = (known.filter((value) => value <= 0).length + 1) / (known.length + 1)
  const above = (known.filter((value) => value >= 0).length + 1) / (known.length + 1)
  return { test: 'paired-bootstrap', statistic: null, p: Math.min(1, 2 * Math.min(below, above)) }
}

/**
 * Every pair of results over the same items, Holm-corrected together.
 *
 * @param sorted best first
 */
export function compareEntries(plan: ComparisonPlan, sorted: readonly Measured[]): Difference[] {
  const sign = metricSpec(plan.metric).better === 'higher' ? 1 : -1
  const raw: Difference[] = []
  for (let i = 0; i < sorted.length; i++) {
    for (let j = i + 1; j < sorted.length; j++) {
      const [a, b] = [sorted[i]!, sorted[j]!]
      const [first, second] = [a.result.metrics[plan.metric].value, b.result.metrics[plan.metric].value]
      if (first === null || second === null) continue
      const differences = a.resampled.map((value, k) => {
        const other = b.resampled[k]
        return value == null || other == null ? null : sign * (value - other)
      })
      const interval = percentileInterval(differences)
      raw.push({
        dataset: a.result.dataset,
        better: { table: a.result.table, trainer: a.result.trainer },
        worse: { table: b.result.table, trainer: b.result.trainer },
        difference: sign * (first - second),
        low: interval?.low ?? null,
        high: interval?.high ?? null,
        ...testPair(plan, a, b, differences),
        adjusted: null,
        holds: false,
      })
    }
  }
  const tested = raw.filter((one) => one.p !== null)
  const adjusted = holm(tested.map((one) => one.p!))
  const corrected = new Map(tested.map((one, i) => [one, adjusted[i]!]))
  return raw.map((one) => {
    const p = corrected.get(one)
    return p === undefined ? one : { ...one, adjusted: p, holds: p < significanceLevel }
  })
}

/**
 * Friedman's test of the trainers over several data sets; a data set with several tables counts each trainer's best.
 * Null for fewer than two data sets or three trainers.
 */
export function friedmanOf(plan: ComparisonPlan, measured: readonly Measured[]): FriedmanRecord | null {
  if (plan.datasets.length < 2 || plan.trainers.length < 3) return null
  const sign = metricSpec(plan.metric).better === 'higher' ? 1 : -1
  const values: number[][] = []
  const names: string[] = []
  for (const dataset of plan.datasets) {
    const row = plan.trainers.map((trainer) => {
      const found = measured
        .filter((one) => one.result.dataset === dataset.key && one.result.trainer === trainer.key)
        .map((one) => one.result.metrics[plan.metric].value)
        .filter((value) => value !== null)
        .map((value) => sign * value)
      return found.length > 0 ? Math.max(...found) : null
    })
    if (row.some((value) => value === null)) continue
    values.push(row as number[])
    names.push(dataset.key)
  }
  const result = friedman(values)
  if (!result) return null
  const order = plan.trainers.map((_, i) => i).sort((a, b) => result.meanRanks[a]! - result.meanRanks[b]!)
  const pairs: [number, number][] = []
  for (let i = 0; i < order.length; i++) for (let j = i + 1; j < order.length; j++) pairs.push([order[i]!, order[j]!])
  const tests = pairs.map(([a, b]) =>
    rankDifference(result.meanRanks[a]!, result.meanRanks[b]!, plan.trainers.length, result.blocks),
  )
  const adjusted = holm(tests.map((test) => test.p))
  return {
    statistic: result.statistic,
    p: result.p,
    datasets: names,
    ranks: order.map((i) => ({ trainer: plan.trainers[i]!.key, meanRank: result.meanRanks[i]! })),
    pairs: pairs.map(([a, b], i) => ({
      better: plan.trainers[a]!.key,
      worse: plan.trainers[b]!.key,
      statistic: tests[i]!.statistic,
      p: tests[i]!.p,
      adjusted: adjusted[i]!,
      // Pairs are only looked at when the ranks differ at all.
      holds: result.p < significanceLevel && adjusted[i]! < significanceLevel,
    })),
  }
}
