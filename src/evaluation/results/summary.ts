import type { Progress } from '../../base/progress.js'
import { createRandom } from '../../base/random.js'
import type { KeptFit } from '../fit/fit-files.js'
import { classMetrics } from '../metrics/confusion.js'
import {
  choosesThreshold,
  describeOperatingRule,
  type OperatingRule,
  operatingPoint,
} from '../metrics/operating-point.js'
import { averagePrecision, calibrationBins, rocAuc } from '../metrics/ranking.js'
import { classScores, type MetricId, metricIds, metricSpec, PreparedOutcome } from '../metrics/registry.js'
import type { ComparisonPlan } from '../plan/plan.js'
import { bootstrapResamples, deviation, mean, percentileInterval, quantile } from '../statistics/intervals.js'
import { compareEntries, friedmanOf } from './differences.js'
import { type Entry, entriesOf, type Measured, outcomeOf, type TableInput } from './outcomes.js'
import type { Evaluation, Measure, Result } from './schema.js'
import { outcomeInWords } from './sentences.js'

export type Summary = Pick<Evaluation, 'results' | 'differences' | 'friedman' | 'words'>

/**
 * Everything figures are made of, from finished fits. A pure function of plan, tables and predictions but for the
 * timings.
 */
export function summarise(
  plan: ComparisonPlan,
  sources: readonly TableInput[],
  kept: ReadonlyMap<string, KeptFit>,
  progress: Progress,
): Summary {
  const entries = entriesOf(plan, sources, kept)
  const task = progress.task({ label: 'Intervals', total: entries.length, unit: 'results' })
  const measured = entries.map((entry, i) => {
    const one = measure(plan, entry)
    task.update(i + 1)
    return one
  })
  task.end()
  const sign = metricSpec(plan.metric).better === 'higher' ? 1 : -1
  const rank = (one: Measured): number => {
    const value = one.result.metrics[plan.metric].value
    return value === null ? Number.NEGATIVE_INFINITY : sign * value
  }
  const order = new Map(plan.datasets.map((dataset, i) => [dataset.key, i]))
  const sorted = [...measured].sort(
    (a, b) => order.get(a.result.dataset)! - order.get(b.result.dataset)! || rank(b) - rank(a) || 0,
  )
  const differences = plan.datasets.flatMap((dataset) =>
    compareEntries(
      plan,
      sorted.filter((one) => one.result.dataset === dataset.key),
    ),
  )
  const friedman = friedmanOf(plan, measured)
  const results = sorted.map((one) => one.result)
  return { results, differences, friedman, words: outcomeInWords(plan, results, differences, friedman) }
}

function measure(plan: ComparisonPlan, entry: Entry): Measured {
  const prepared = new PreparedOutcome(entry.outcome)
  const values = prepared.all()
  const perFold = entry.fits.map((fit) => new PreparedOutcome(outcomeOf([fit], entry.source).outcome).all())
  const resampled = Object.fromEntries(metricIds.map((id) => [id, [] as (number | null)[]])) as Record<
    MetricId,
    (number | null)[]
  >
  const wanted = metricIds.filter((id) => values[id] !== null)
  // The seed is the data set's, so that the same images are drawn for every trainer and differences are paired.
  bootstrapResamples(entry.unit, plan.resamples, `${plan.seed}/bootstrap/${entry.table.dataset}`, (weights) => {
    const confusion = prepared.confusion(weights)
    for (const id of wanted) resampled[id].push(prepared.value(id, weights, confusion))
  })
  const metrics = Object.fromEntries(
    metricIds.map((id): [MetricId, Measure] => {
      const interval = values[id] === null ? null : percentileInterval(resampled[id])
      const folds = perFold.map((fold) => fold[id])
      const known = folds.filter((value) => value !== null)
      return [
        id,
        {
          value: values[id],
          low: interval?.low ?? null,
          high: interval?.high ?? null,
          folds,
          mean: mean(known),
          deviation: deviation(known),
        },
      ]
    }),
  ) as Record<MetricId, Measure>
  const result: Result = {
    table: entry.table.key,
    trainer: entry.trainer.key,
    dataset: entry.table.dataset,
    title: titleOf(plan, entry),
    scoreKind: entry.outcome.scoreKind,
    predictions: entry.item.length,
    metrics,
    ...shapes(prepared, entry, plan.operating),
    curve: curveOf(plan, entry, metrics),
    permutation: permuted(plan, prepared, values[plan.metric]),
    ...costs(entry),
  }
  return { entry, result, resampled: resampled[plan.metric] }
}

function titleOf(plan: ComparisonPlan, entry: Entry): string {
  const twice = plan.trainers.filter((trainer) => trainer.id === entry.trainer.id).length > 1
  const trainer = twice ? `${entry.trainer.title} (${entry.trainer.key})` : entry.trainer.title
  return plan.tables.length > 1 ? `${trainer} on ${entry.table.name}` : trainer
}

/** Classes, confusion, calibration and operating point. */
function shapes(
  prepared: PreparedOutcome,
  entry: Entry,
  rule: OperatingRule,
): Pick<Result, 'classes' | 'confusion' | 'calibration' | 'operating'> {
  const { outcome } = entry
  const confusion = prepared.confusion()
  const { classes } = outcome
  const names = entry.source.dataset.classes
  return {
    classes: classMetrics(confusion).map((one, k) => ({
      label: names[k]!,
      ...one,
      auc: prepared.classRanking(rocAuc, k),
      averagePrecision: prepared.classRanking(averagePrecision, k),
    })),
    confusion: names.map((_, i) => Array.from(confusion.cells.subarray(i * classes, (i + 1) * classes))),
    calibration: outcome.scoreKind === 'probability' ? calibrationBins(prepared.confidence()) : null,
    operating: operatingOf(entry, rule),
  }
}

/** Counts at the thresholds that each fit chose on its own training images; null without a positive class. */
function operatingOf({ outcome, fits }: Entry, rule: OperatingRule): Result['operating'] {
  const { positive } = outcome
  if (positive === null) return null
  const own = outcome.scoreKind === 'probability' ? 0.5 : 0
  const thresholds = fits.map(({ facts }) => facts.threshold ?? own)
  const unchosen = fits.filter(({ facts }) => facts.threshold === null).length
  const fallback =
    unchosen > 0 && choosesThreshold(rule)
      ? `; ${unchosen} of ${fits.length} fits had too few training images to choose and keep the classifier's ` +
        'own decision'
      : ''
  return {
    rule: `${describeOperatingRule(rule)}${fallback}`,
    thresholds,
    ...operatingPoint(
      classScores(outcome, positive),
      Array.from(outcome.truth, (k) => k === positive),
      (row) => thresholds[outcome.fit[row]!]!,
    ),
  }
}

function curveOf(plan: ComparisonPlan, entry: Entry, metrics: Record<MetricId, Measure>): Result['curve'] {
  if (entry.curve.length === 0) return []
  const fractions = [...new Set(entry.curve.map(({ fold }) => fold.fraction))].sort((a, b) => a - b)
  const points = fractions.map((fraction) => {
    const here = entry.curve.filter(({ fold }) => fold.fraction === fraction)
    const values = here.map(({ fit }) => new PreparedOutcome(outcomeOf([fit], entry.source).outcome).value(plan.metric))
    return { fraction, trainRows: mean(here.map(({ fit }) => fit.facts.trainRows)) ?? 0, values }
  })
  const first = entry.folds.map((fold, i) => ({ fold, i })).filter(({ fold }) => fold.repeat === 0)
  points.push({
    fraction: 1,
    trainRows: mean(first.map(({ i }) => entry.fits[i]!.facts.trainRows)) ?? 0,
    values: first.map(({ i }) => metrics[plan.metric].folds[i]!),
  })
  return points.map((point) => ({ ...point, mean: mean(point.values.filter((value) => value !== null)) }))
}

const shuffles = 200

/**
 * The primary metric when the truth is shuffled within each fit's test items: its mean, its 97.5 % point and the p of
 * the real value.
 */
function permuted(plan: ComparisonPlan, prepared: PreparedOutcome, value: number | null): Result['permutation'] {
  const none = { mean: null, high: null, p: null, shuffles: 0 }
  if (value === null) return none
  const { outcome } = prepared
  const random = createRandom(plan.seed).fork('permutation')
  const sign = metricSpec(plan.metric).better === 'higher' ? 1 : -1
  const starts = [...new Set(outcome.fit)].map(
    (fit) => [outcome.fit.indexOf(fit), outcome.fit.lastIndexOf(fit) + 1] as const,
  )
  const found: number[] = []
  for (let i = 0; i < shuffles; i++) {
    const truth = outcome.truth.slice()
    for (const [from, to] of starts) random.shuffle(truth.subarray(from, to))
    const shuffled = new PreparedOutcome({ ...outcome, truth }).value(plan.metric)
    if (shuffled !== null) found.push(shuffled)
  }
  if (found.length === 0) return none
  const asGood = found.filter((one) => sign * one >= sign * value).length
  const sorted = [...found].sort((a, b) => a - b)
  return {
    mean: mean(found),
    high: quantile(sorted, sign > 0 ? 0.975 : 0.025),
    p: (asGood + 1) / (found.length + 1),
    shuffles: found.length,
  }
}

function costs(entry: Entry): Pick<Result, 'fits' | 'timing' | 'limited'> {
  const fits = entry.fits.map(({ facts, items }, i) => ({
    fold: entry.folds[i]!.id,
    trainRows: facts.trainRows,
    testItems: items.length,
    fitMs: facts.fitMs,
    tuneMs: facts.tuneMs,
    predictMs: facts.predictMs,
    modelBytes: facts.modelBytes,
    peakMemoryBytes: facts.peakMemoryBytes,
    params: facts.params,
    trials: facts.trials,
    facts: facts.facts,
  }))
  const over = (of: (fit: (typeof fits)[number]) => number): number => mean(fits.map(of)) ?? 0
  const most = entry.trainer.maxTrainItems
  const known = fits.flatMap(({ peakMemoryBytes }) => peakMemoryBytes ?? [])
  return {
    fits,
    timing: {
      fitMs: over((fit) => fit.fitMs),
      tuneMs: over((fit) => fit.tuneMs),
      predictMsPerItem: over((fit) => fit.predictMs / Math.max(1, fit.testItems)),
      modelBytes: over((fit) => fit.modelBytes),
      peakMemoryBytes: known.length > 0 ? Math.max(...known) : null,
    },
    limited: most !== null && entry.folds.some((fold) => fold.train.length > most),
  }
}
