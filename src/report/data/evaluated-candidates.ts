import { metricSpecs } from '../../evaluation/metrics/registry.js'
import type { LoadedEvaluation, Predictions } from '../../evaluation/results/load.js'
import type { Evaluation, Result } from '../../evaluation/results/schema.js'
import { formatP, formatSeconds, formatValue } from './format.js'
import type { ReportCandidate, ReportFact, ReportOutcome, ReportValue } from './input.js'

/** One trainer on one table, as other parts of the report refer to it. */
export const idOf = (side: { readonly table: string; readonly trainer: string }): string =>
  JSON.stringify([side.table, side.trainer])

/** All results and the baselines of each data set. */
export function candidatesOf(loaded: LoadedEvaluation): ReportCandidate[] {
  const { evaluation } = loaded
  return [
    ...evaluation.results.map((result, at) => candidateOf(loaded, result, loaded.predictions[at]!)),
    ...evaluation.datasets.flatMap((dataset, at) => [majorityOf(dataset, at), ...shuffledOf(evaluation, dataset, at)]),
  ]
}

function candidateOf({ evaluation }: LoadedEvaluation, result: Result, predictions: Predictions): ReportCandidate {
  const dataset = evaluation.datasets.findIndex(({ key }) => key === result.dataset)
  const metrics = metricSpecs.flatMap(({ id }): ReportValue[] => {
    const { value, low, high } = result.metrics[id]
    if (value === null) return []
    return [{ metric: id, value, ...(low === null || high === null ? {} : { low, high }) }]
  })
  const curve = result.curve.flatMap(({ trainRows, mean, values }) => {
    if (mean === null) return []
    const known = values.filter((value) => value !== null)
    return [{ rows: trainRows, value: mean, low: Math.min(mean, ...known), high: Math.max(mean, ...known) }]
  })
  const { timing } = result
  return {
    id: idOf(result),
    title: result.title,
    dataset,
    baseline: false,
    metrics,
    outcome: outcomeOf(result, predictions, evaluation.datasets[dataset]!.classes.length),
    ...(curve.length > 1 ? { learningCurve: curve } : {}),
    facts: factsOf(evaluation, result),
    fitSeconds: timing.fitMs / 1000,
    predictSeconds: (timing.predictMsPerItem * result.predictions) / 1000,
    modelBytes: Math.round(timing.modelBytes),
    ...(timing.peakMemoryBytes === null ? {} : { peakBytes: Math.round(timing.peakMemoryBytes) }),
  }
}

/** One prediction an image: the first there is, which is the first repeat's. */
function outcomeOf(result: Result, predictions: Predictions, classes: number): ReportOutcome {
  const seen = new Set<number>()
  const first: number[] = []
  predictions.item.forEach((item, i) => {
    if (seen.has(item)) return
    seen.add(item)
    first.push(i)
  })
  const scores = new Float32Array(first.length * classes)
  first.forEach((from, to) => {
    scores.set(predictions.scores.subarray(from * classes, (from + 1) * classes), to * classes)
  })
  const several = predictions.item.length > first.length
  return {
    rows: Int32Array.from(first, (i) => predictions.item[i]!),
    predicted: Int32Array.from(first, (i) => predictions.predicted[i]!),
    scores,
    scoreKind: result.scoreKind,
    ...(several ? { note: "each image's first test; the ranking counts all repeats" } : {}),
  }
}

function factsOf(evaluation: Evaluation, result: Result): ReportFact[] {
  const trainer = evaluation.trainers.find(({ key }) => key === result.trainer)
  const table = evaluation.tables.find(({ key }) => key === result.table)
  const facts: ReportFact[] = []
  if (table) facts.push({ name: 'embeddings', value: `${table.name}, layer ${table.layer}, ${table.dim} values` })
  if (trainer) {
    facts.push({ name: 'preprocessing', value: trainer.preprocess })
    if (trainer.params.length > 0) facts.push({ name: 'parameters', value: paramText(trainer.params) })
    if (trainer.tune) {
      facts.push({
        name: 'tuned',
        value:
          `${trainer.tune.search} over ${trainer.tune.candidates} candidates, ${trainer.tune.innerFolds} inner ` +
          'folds',
      })
    }
    if (trainer.calibrate !== null) facts.push({ name: 'calibrated', value: trainer.calibrate })
  }
  const tuned = result.fits.filter(({ trials }) => trials.length > 0)
  if (tuned.length > 0) {
    const counts = new Map<string, number>()
    for (const { params } of tuned) counts.set(paramText(params), (counts.get(paramText(params)) ?? 0) + 1)
    const said = [...counts].sort((a, b) => b[1] - a[1]).map(([text, n]) => `${text} (${n} of ${tuned.length})`)
    facts.push({ name: 'chosen', value: said.join('; ') }, { name: 'inner results', value: innerResults(tuned) })
  }
  if (result.limited) facts.push({ name: 'limited', value: `trained on at most ${trainer?.maxTrainItems} images` })
  const { permutation, operating } = result
  if (permutation.mean !== null) {
    facts.push({
      name: 'shuffled labels',
      value: `mean ${permutation.mean.toFixed(3)} over ${permutation.shuffles} shuffles${permutation.p === null ? '' : `, p ${formatP(permutation.p)}`}`,
    })
  }
  if (operating) {
    const share = (name: string, one: typeof operating.sensitivity): ReportFact => ({
      name,
      value:
        `${formatValue(one.value ?? Number.NaN, 'percent')} (${one.hits} of ${one.rows}; ` +
        `${formatValue(one.wilson.low, 'percent', false)}–${formatValue(one.wilson.high, 'percent')})`,
    })
    facts.push({ name: 'operating point', value: `${operating.rule}: ${thresholdText(operating.thresholds)}` })
    facts.push(share('sensitivity', operating.sensitivity), share('specificity', operating.specificity))
    facts.push(share('positive predictive value', operating.positivePredictive))
    facts.push(share('negative predictive value', operating.negativePredictive))
  }
  if (tuned.length > 0) facts.push({ name: 'search time', value: formatSeconds(result.timing.tuneMs / 1000) })
  const [only] = result.fits
  if (result.fits.length === 1 && only) {
    for (const [name, value] of only.facts)
      facts.push({ name, value: typeof value === 'number' ? String(Number(value.toPrecision(6))) : value })
  }
  return facts
}

/** One threshold, or the range of those of several fits. */
function thresholdText(thresholds: readonly number[]): string {
  const [low, high] = [Math.min(...thresholds), Math.max(...thresholds)]
  return low === high ? low.toFixed(4) : `${low.toFixed(4)} to ${high.toFixed(4)} over ${thresholds.length} fits`
}

const innerShown = 6

/** What the inner folds said of each candidate, the mean over the outer fits; of many candidates the first. */
function innerResults(fits: Result['fits']): string {
  const means = new Map<string, number[]>()
  for (const { trials } of fits) {
    for (const { params, mean } of trials) {
      if (mean === null) continue
      const varied = params.filter(([name, value]) =>
        trials.some((other) => other.params.some(([one, own]) => one === name && own !== value)),
      )
      const text = paramText(varied.length > 0 ? varied : params)
      means.set(text, [...(means.get(text) ?? []), mean])
    }
  }
  const all = [...means].map(([text, values]): [string, number] => [
    text,
    values.reduce((sum, value) => sum + value, 0) / values.length,
  ])
  const said = all.slice(0, innerShown).map(([text, value]) => `${text}: ${value.toFixed(3)}`)
  return `${said.join('; ')}${all.length > innerShown ? `; ${all.length - innerShown} more in evaluation.json` : ''}`
}

function paramText(params: readonly (readonly [string, unknown])[]): string {
  return params.map(([name, value]) => `${name}=${value}`).join(', ')
}

function majorityOf({ key, majority }: Evaluation['datasets'][number], dataset: number): ReportCandidate {
  return {
    id: JSON.stringify(['majority', key]),
    title: `always ${majority.label}`,
    dataset,
    baseline: true,
    metrics: [
      { metric: 'accuracy', value: majority.accuracy },
      { metric: 'mean-class-accuracy', value: majority.meanClassAccuracy },
    ],
    facts: [],
  }
}

/** The best candidate's own predictions against shuffled labels: what its metric would say had nothing been learned. */
function shuffledOf(
  { results, metric }: Evaluation,
  { key }: Evaluation['datasets'][number],
  dataset: number,
): ReportCandidate[] {
  const best = results.find((result) => result.dataset === key)
  const mean = best?.permutation.mean
  if (mean === null || mean === undefined) return []
  return [
    {
      id: JSON.stringify(['shuffled', key]),
      title: 'shuffled labels',
      dataset,
      baseline: true,
      metrics: [{ metric, value: mean }],
      facts: [],
    },
  ]
}
