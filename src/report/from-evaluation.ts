import { Fc7Error } from '../base/errors.js'
import { openStore, readTable, readThumbs } from '../embeddings/store.js'
import type { EvaluatedItems, LoadedEvaluation, Predictions } from '../evaluation/load.js'
import { metricSpecs } from '../evaluation/metric-list.js'
import type { Difference, Evaluation, Result } from '../evaluation/schema.js'
import { formatP, formatSeconds, formatValue } from './format.js'
import type {
  ReportCandidate,
  ReportDataset,
  ReportFact,
  ReportInput,
  ReportMetric,
  ReportOutcome,
  ReportValue,
} from './input.js'

/** Metrics that are shares and print as percentages. */
const shares = new Set(['accuracy', 'mean-class-accuracy', 'macro-f1', 'weighted-f1', 'top-3', 'top-5'])
const testTitles: Record<Difference['test'], string> = {
  'mcnemar-mid-p': 'McNemar, mid-p',
  'corrected-resampled-t': 'corrected resampled t',
  'paired-bootstrap': 'paired bootstrap',
  none: 'not tested',
}

const idOf = (side: { readonly table: string; readonly trainer: string }): string =>
  JSON.stringify([side.table, side.trainer])

/**
 * The report's input from an evaluation and the stores that it names. A store that is gone or damaged costs the pictures and
 * the map, and the report says so; everything else comes from the evaluation itself.
 */
export async function reportFromEvaluation(loaded: LoadedEvaluation): Promise<ReportInput> {
  const { evaluation } = loaded
  const missing: string[] = []
  const datasets: ReportDataset[] = []
  for (const dataset of evaluation.datasets) datasets.push(await datasetOf(loaded, dataset, missing))
  const format = (id: string): ReportMetric['format'] => (shares.has(id) ? 'percent' : 'number')
  const names = evaluation.datasets.map(({ name }) => name)
  return {
    title: `${names.join(', ')}: ${evaluation.trainers.length} trainer${evaluation.trainers.length === 1 ? '' : 's'} compared`,
    ...(evaluation.provenance.created === null ? {} : { created: evaluation.provenance.created }),
    datasets,
    candidates: [
      ...evaluation.results.map((result, at) => candidateOf(loaded, result, loaded.predictions[at]!)),
      ...evaluation.datasets.flatMap((dataset, at) => [
        majorityOf(dataset, at),
        ...shuffledOf(evaluation, dataset, at),
      ]),
    ],
    primaryMetric: evaluation.metric,
    metrics: metricSpecs
      .filter(({ id }) => id === evaluation.metric || evaluation.results.some((r) => r.metrics[id].value !== null))
      .map(({ id, title, better }) => ({ id, title, higherIsBetter: better === 'higher', format: format(id) })),
    comparisons: evaluation.differences
      .filter(({ p }) => p !== null)
      .map((one) => ({
        a: idOf(one.better),
        b: idOf(one.worse),
        metric: evaluation.metric,
        // The record's difference is never negative in the metric's own sense; the report's is plainly a − b.
        ...signed(one, metricSpecs.find(({ id }) => id === evaluation.metric)!.better === 'lower'),
        p: one.p!,
        pAdjusted: one.adjusted ?? one.p!,
        holds: one.holds,
        test: testTitles[one.test],
      })),
    testName: 'Each pair on the same pictures; p adjusted after Holm within a data set; a difference holds below 0.05',
    sentences: evaluation.words,
    protocol: evaluation.datasets.map(({ name, protocolText }) =>
      names.length > 1 ? `${name}: ${protocolText}` : protocolText,
    ),
    warnings: [
      ...(evaluation.guards?.warnings ?? []).map(({ text }) => ({ level: 'warning' as const, text })),
      ...missing.map((text) => ({ level: 'note' as const, text })),
    ],
    ...guardsOf(loaded),
    provenance: provenanceOf(evaluation),
  }
}

function signed(one: Difference, lowerIsBetter: boolean): { difference: number; low?: number; high?: number } {
  const { difference, low, high } = one
  if (low === null || high === null) return { difference: lowerIsBetter ? -difference : difference }
  return lowerIsBetter ? { difference: -difference, low: -high, high: -low } : { difference, low, high }
}

async function datasetOf(
  { evaluation, items }: LoadedEvaluation,
  dataset: Evaluation['datasets'][number],
  missing: string[],
): Promise<ReportDataset> {
  const own = items.get(dataset.key)!
  const table = tableOfBest(evaluation, dataset.key)
  const pictures = await fromStore(table, own, missing)
  return {
    name: dataset.name,
    classes: dataset.classes.map(({ label }) => label),
    ids: own.ids,
    labels: own.y,
    ...(dataset.positive === null ? {} : { positive: dataset.positive.label }),
    ...pictures,
  }
}

/** The table of the best result: its layer is mapped and its store gives the thumbnails. */
function tableOfBest(evaluation: Evaluation, dataset: string): Evaluation['tables'][number] | undefined {
  const best = evaluation.results.find((result) => result.dataset === dataset)
  return evaluation.tables.find(({ key }) => key === best?.table)
}

async function fromStore(
  table: Evaluation['tables'][number] | undefined,
  items: EvaluatedItems,
  missing: string[],
): Promise<Pick<ReportDataset, 'thumbnails' | 'embedding'>> {
  if (!table?.store) return { thumbnails: new Map() }
  try {
    const store = await openStore(table.store.path)
    if (store.planHash !== table.store.planHash) {
      missing.push(`The store ${table.store.path} has changed since the comparison: there are no pictures and no map.`)
      return { thumbnails: new Map() }
    }
    const thumbs = await readThumbs(store)
    const read = await readTable(store, table.layer)
    const place = new Map(items.ids.map((id, i) => [id, i]))
    const rows: number[] = []
    const from: number[] = []
    read.ids.forEach((id, row) => {
      const item = place.get(id)
      if (read.views[row] !== 0 || item === undefined) return
      rows.push(item)
      from.push(row)
    })
    const data = new Float32Array(rows.length * read.dim)
    from.forEach((row, i) => {
      data.set(read.x.subarray(row * read.dim, (row + 1) * read.dim), i * read.dim)
    })
    if (thumbs.size === 0) missing.push(`The store ${table.store.path} holds no thumbnails.`)
    return {
      thumbnails: new Map([...thumbs].map(([id, { webp }]) => [id, webp])),
      embedding: {
        title: `${table.store.backbone}, layer ${table.layer}`,
        rows: Int32Array.from(rows),
        data,
        cols: read.dim,
      },
    }
  } catch (error) {
    if (!(error instanceof Fc7Error)) throw error
    missing.push(`There are no pictures and no map: ${error.message}`)
    return { thumbnails: new Map() }
  }
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
    peakBytes: Math.round(timing.peakMemoryBytes),
  }
}

/** One prediction a picture: the first there is, which is the first repeat's. */
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
    ...(several ? { note: "each picture's first test; the ranking counts all repeats" } : {}),
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
        value: `${trainer.tune.search} over ${trainer.tune.candidates} candidates, ${trainer.tune.innerFolds} inner folds`,
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
  if (result.limited) facts.push({ name: 'limited', value: `trained on at most ${trainer?.maxTrainItems} pictures` })
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
      value: `${formatValue(one.value ?? Number.NaN, 'percent')} (${one.hits} of ${one.rows}; ${formatValue(one.wilson.low, 'percent', false)}–${formatValue(one.wilson.high, 'percent')})`,
    })
    facts.push({ name: 'operating point', value: `${operating.rule}: ${operating.threshold.toFixed(4)}` })
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

function guardsOf({
  evaluation,
  items,
}: LoadedEvaluation): Pick<ReportInput, 'suspects' | 'duplicates' | 'duplicateRule'> {
  const guards = evaluation.guards
  if (guards === null) return { suspects: [], duplicates: [] }
  const place = (key: string): ReadonlyMap<string, number> =>
    new Map(items.get(key)?.ids.map((id, row) => [id, row]) ?? [])
  const dataset = (key: string): number => evaluation.datasets.findIndex((one) => one.key === key)
  const suspects = guards.suspects.flatMap((found) => {
    const rows = place(found.dataset)
    const at = dataset(found.dataset)
    return found.items.flatMap(({ id, suggested, own, other }) => {
      const row = rows.get(id)
      const label = evaluation.datasets[at]?.classes.findIndex((one) => one.label === suggested) ?? -1
      return row === undefined || label < 0
        ? []
        : [{ dataset: at, row, suggested: label, score: (1 + other - own) / 2 }]
    })
  })
  // Two tables of one data set find the same pairs: each pair once.
  const seen = new Set<string>()
  const duplicates = guards.duplicates.flatMap((found) => {
    const rows = place(found.dataset)
    return found.pairs.flatMap(({ a, b, cosine, distance, across }) => {
      const [first, second] = [rows.get(a), rows.get(b)]
      const key = JSON.stringify([found.dataset, a, b])
      if (first === undefined || second === undefined || seen.has(key)) return []
      seen.add(key)
      return [
        {
          dataset: dataset(found.dataset),
          a: first,
          b: second,
          ...(cosine === null ? {} : { cosine }),
          ...(distance === null ? {} : { bits: distance }),
          where: across ? 'across folds' : 'on one side of every fold',
        },
      ]
    })
  })
  const rule = guards.duplicates[0]?.rule
  return { suspects: onePerPicture(suspects), duplicates, ...(rule === undefined ? {} : { duplicateRule: rule }) }
}

function onePerPicture<T extends { dataset: number; row: number; score: number }>(suspects: readonly T[]): T[] {
  const best = new Map<string, T>()
  for (const one of suspects) {
    const key = `${one.dataset}/${one.row}`
    const held = best.get(key)
    if (held === undefined || held.score < one.score) best.set(key, one)
  }
  return [...best.values()]
}

function provenanceOf(evaluation: Evaluation): ReportInput['provenance'] {
  const { command, experiment, versions, machine } = evaluation.provenance
  return {
    ...(command === null ? {} : { command }),
    ...(experiment === null ? {} : { experiment }),
    seed: String(evaluation.seed),
    versions: versions.map(([name, value]) => ({ name, value })),
    hashes: [
      { name: 'plan of the comparison', value: evaluation.plan },
      ...evaluation.datasets.map(({ name, fingerprint }) => ({ name: `data set ${name}`, value: fingerprint })),
      ...evaluation.tables.flatMap(({ store }) =>
        store ? [{ name: `store of ${store.backbone} (${store.recipe})`, value: store.planHash }] : [],
      ),
    ],
    machine: machine.map(([name, value]) => ({ name, value: String(value) })),
  }
}
