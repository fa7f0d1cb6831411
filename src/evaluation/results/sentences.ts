import { metricSpec } from '../metrics/registry.js'
import type { ComparisonPlan } from '../plan/plan.js'
import { describeProtocol } from '../plan/protocol.js'
import type { Difference, FriedmanRecord, Result } from './schema.js'

const figure = (value: number | null): string => (value === null ? 'undefined' : value.toFixed(3))
const probability = (p: number | null): string =>
  p === null ? 'not tested' : p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`

/** `a`, `a and b`, `a, b and c`. */
function list(names: readonly string[]): string {
  if (names.length < 2) return names[0] ?? ''
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

const maxNamed = 4
/** A list that names the first few and counts the rest. */
function shortList(names: readonly string[]): string {
  if (names.length <= maxNamed + 1) return list(names)
  return `${names.slice(0, maxNamed).join(', ')} and ${names.length - maxNamed} others`
}

const testNames: Record<Difference['test'], string> = {
  'mcnemar-mid-p': "McNemar's test (mid-p)",
  'corrected-resampled-t': 'the corrected resampled t-test',
  'paired-bootstrap': 'a paired bootstrap',
  none: 'no test',
}

/** Who is ahead, by how much, and which differences hold: plain sentences without markup. */
export function outcomeInWords(
  plan: ComparisonPlan,
  results: readonly Result[],
  differences: readonly Difference[],
  friedman: FriedmanRecord | null,
): string[] {
  const sentences = plan.datasets.flatMap((dataset) => {
    const own = results.filter((result) => result.dataset === dataset.key)
    const opening = plan.datasets.length > 1 ? `${dataset.name}: ` : ''
    return [`${opening}${describeProtocol(dataset.protocol)}`, ...datasetInWords(plan, own, differences)]
  })
  return friedman ? [friedmanInWords(plan, friedman), ...sentences] : sentences
}

function datasetInWords(
  plan: ComparisonPlan,
  results: readonly Result[],
  differences: readonly Difference[],
): string[] {
  const best = results[0]
  if (!best) return []
  const metric = metricSpec(plan.metric)
  const measure = best.metrics[plan.metric]
  if (measure.value === null)
    return [`${metric.title} is undefined for every trainer here; choose another metric for a ranking.`]
  const range = measure.low === null ? '' : ` (95 % interval ${figure(measure.low)} to ${figure(measure.high)})`
  const side = metric.better === 'higher' ? 'highest' : 'lowest'
  const level = results.filter((result) => result.metrics[plan.metric].value === measure.value)
  const sentences =
    level.length > 1
      ? [
          `${shortList(level.map((result) => result.title))} share the ${side} ${metric.title.toLowerCase()}: ` +
            `${figure(measure.value)}.`,
        ]
      : [`${best.title} has the ${side} ${metric.title.toLowerCase()}: ${figure(measure.value)}${range}.`]
  const of = (side: Difference['better']): Result =>
    results.find((result) => result.table === side.table && result.trainer === side.trainer)!
  const own = differences.filter((one) => one.dataset === best.dataset)
  const against = own.filter((one) => of(one.better) === best)
  const beaten = against.filter((one) => one.holds)
  const open = against.filter((one) => !one.holds)
  const say = (one: Difference): string =>
    `${of(one.worse).title} (${figure(one.difference)}, ${probability(one.adjusted)})`
  if (against.length > 0) {
    const test = testNames[against[0]!.test]
    const lead = level.length > 1 ? `The lead of ${best.title}` : 'Its lead'
    const apart = open.filter((one) => one.difference > 0)
    if (beaten.length > 0) sentences.push(`${lead} holds over ${shortList(beaten.map(say))}.`)
    if (apart.length > 0) sentences.push(`${lead} does not hold over ${shortList(apart.map(say))}.`)
    sentences.push(
      open.length === 0
        ? 'So it is the winner of this comparison.'
        : 'So there is no single winner: choose among these by cost, or collect more images.',
    )
    const pairs = own.length === 1 ? 'one pair' : `${own.length} pairs, corrected after Holm`
    sentences.push(`Judged by ${test} on ${pairs}; a difference holds when p is below 0.05.`)
  }
  const { permutation } = best
  if (permutation.p !== null && permutation.p > 0.05)
    sentences.push('Even the best result is no better than guessing with shuffled labels.')
  return sentences
}

function friedmanInWords(plan: ComparisonPlan, friedman: FriedmanRecord): string {
  const title = (key: string): string => plan.trainers.find((trainer) => trainer.key === key)!.title
  const ranks = friedman.ranks.map((one) => `${title(one.trainer)} ${one.meanRank.toFixed(2)}`)
  const opening =
    `Over ${friedman.datasets.length} data sets (Friedman, ${probability(friedman.p)}) the mean ranks are ` +
    `${list(ranks)}.`
  const holding = friedman.pairs.filter((pair) => pair.holds)
  if (holding.length === 0) return `${opening} No difference between two trainers holds.`
  const pairs = holding.map((pair) => `${title(pair.better)} before ${title(pair.worse)}`)
  return `${opening} These differences hold: ${list(pairs)}.`
}
