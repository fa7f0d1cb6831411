import { openStore, readTable, readThumbs, type Store } from '../embeddings/store.js'
import type { LoadedEvaluation } from '../evaluation/load.js'
import { metricIds, metricSpec } from '../evaluation/metric-list.js'
import type { Evaluation, Result } from '../evaluation/schema.js'
import type { ReportCandidate, ReportDataset, ReportFact, ReportInput, ReportOutcome, ReportValue } from './input.js'

const percentMetrics = new Set(['accuracy', 'mean-class-accuracy', 'top-3', 'top-5'])
/** Pictures the map places at most; a class-blind even draw of more. */
const maxMapRows = 3000

type Dataset = Evaluation['datasets'][number]

const testNames: Readonly<Record<string, string>> = {
  'mcnemar-mid-p': "McNemar's test (mid-p), Holm-adjusted",
  'corrected-resampled-t': 'corrected resampled t-test, Holm-adjusted',
  'paired-bootstrap': 'paired bootstrap, Holm-adjusted',
}

const candidateId = (table: string, trainer: string): string => `${table}/${trainer}`

/** Stores that are still where they were and still the same; the report does without the others' pictures. */
async function storesOf(evaluation: Evaluation): Promise<Map<string, Store>> {
  const stores = new Map<string, Store>()
  for (const table of evaluation.tables) {
    if (!table.store) continue
    const store = await openStore(table.store.path).catch(() => undefined)
    if (store?.planHash === table.store.planHash) stores.set(table.key, store)
  }
  return stores
}

async function datasetOf(
  loaded: LoadedEvaluation,
  dataset: Dataset,
  stores: ReadonlyMap<string, Store>,
): Promise<ReportDataset> {
  const { ids, paths, y } = loaded.items.get(dataset.key)!
  const common = {
    name: dataset.name,
    classes: dataset.classes.map(({ label }) => label),
    ids: paths,
    labels: y,
    ...(dataset.positive ? { positive: dataset.positive.label } : {}),
  }
  // The best result's table is the one whose map and thumbnails are shown.
  const best = loaded.evaluation.results.find((result) => result.dataset === dataset.key && stores.has(result.table))
  const table = loaded.evaluation.tables.find(({ key }) => key === best?.table)
  const store = table && stores.get(table.key)
  if (!store || !table) return { ...common, thumbnails: new Map() }
  const byId = await readThumbs(store)
  const thumbnails = new Map(
    ids.flatMap((id, i) => (byId.get(id)?.webp.length ? [[paths[i]!, byId.get(id)!.webp] as const] : [])),
  )
  const embeddings = await readTable(store, table.layer)
  const rowOf = new Map(embeddings.ids.flatMap((id, row) => (embeddings.views[row] === 0 ? [[id, row] as const] : [])))
  const step = Math.max(1, ids.length / maxMapRows)
  const chosen = Array.from({ length: Math.min(ids.length, maxMapRows) }, (_, i) => Math.floor(i * step)).filter((i) =>
    rowOf.has(ids[i]!),
  )
  const data = new Float32Array(chosen.length * embeddings.dim)
  chosen.forEach((item, i) => {
    const row = rowOf.get(ids[item]!)!
    data.set(embeddings.x.subarray(row * embeddings.dim, (row + 1) * embeddings.dim), i * embeddings.dim)
  })
  return {
    ...common,
    thumbnails,
    embedding: { title: table.name, rows: Int32Array.from(chosen), data, cols: embeddings.dim },
  }
}

function outcomeOf(loaded: LoadedEvaluation, result: Result, classes: number): ReportOutcome {
  const found = loaded.predictions.find(({ table, trainer }) => table === result.table && trainer === result.trainer)!
  // Repeats test a picture several times; the report shows each once, as the first repeat saw it.
  const seen = new Set<number>()
  const kept = Array.from(found.item.keys()).filter((i) => {
    const item = found.item[i]!
    if (seen.has(item)) return false
    seen.add(item)
    return true
  })
  const scores = new Float32Array(kept.length * classes)
  kept.forEach((i, at) => {
    scores.set(found.scores.subarray(i * classes, (i + 1) * classes), at * classes)
  })
  return {
    rows: Int32Array.from(kept, (i) => found.item[i]!),
    predicted: Int32Array.from(kept, (i) => found.predicted[i]!),
    scores,
    scoreKind: result.scoreKind,
    ...(kept.length < found.item.length
      ? { note: 'Each picture as it was predicted in the first repeat that tested it.' }
      : {}),
  }
}

function metricsOf(result: Result): ReportValue[] {
  return metricIds.flatMap((metric) => {
    const { value, low, high } = result.metrics[metric]
    return value === null
      ? []
      : [{ metric, value, ...(low === null ? {} : { low }), ...(high === null ? {} : { high }) }]
  })
}

const show = (value: string | number | boolean): string =>
  typeof value === 'number' && !Number.isInteger(value) ? value.toPrecision(4) : String(value)

function factsOf(evaluation: Evaluation, result: Result): ReportFact[] {
  const trainer = evaluation.trainers.find(({ key }) => key === result.trainer)!
  const [fit] = result.fits
  return [
    { name: 'preprocessing', value: trainer.preprocess },
    ...(trainer.maxTrainItems === null || !result.limited
      ? []
      : [{ name: 'training pictures', value: `${trainer.maxTrainItems} only: this trainer cannot take more` }]),
    ...(fit?.params.map(([name, value]) => ({ name, value: show(value) })) ?? []),
    ...(trainer.tune
      ? [
          {
            name: 'search',
            value: `${trainer.tune.search}, ${trainer.tune.candidates} candidates, ${trainer.tune.innerFolds} inner folds`,
          },
        ]
      : []),
    ...(fit?.facts.map(([name, value]) => ({ name, value: show(value) })) ?? []),
  ]
}

function candidateOf(loaded: LoadedEvaluation, result: Result, datasets: readonly Dataset[]): ReportCandidate {
  const dataset = datasets.findIndex(({ key }) => key === result.dataset)
  const { timing } = result
  const curve = result.curve.flatMap(({ trainRows, mean }) =>
    mean === null ? [] : [{ rows: Math.round(trainRows), value: mean }],
  )
  return {
    id: candidateId(result.table, result.trainer),
    title: result.title,
    dataset,
    baseline: false,
    metrics: metricsOf(result),
    outcome: outcomeOf(loaded, result, datasets[dataset]!.classes.length),
    ...(curve.length > 0 ? { learningCurve: curve } : {}),
    facts: factsOf(loaded.evaluation, result),
    fitSeconds: timing.fitMs / 1000,
    predictSeconds: (timing.predictMsPerItem * result.predictions) / 1000,
    modelBytes: timing.modelBytes,
    peakBytes: timing.peakMemoryBytes,
  }
}

const majorityCandidate = (dataset: Dataset, d: number): ReportCandidate => ({
  id: `majority/${dataset.key}`,
  title: `always "${dataset.majority.label}"`,
  dataset: d,
  baseline: true,
  metrics: [
    { metric: 'accuracy', value: dataset.majority.accuracy },
    { metric: 'mean-class-accuracy', value: dataset.majority.meanClassAccuracy },
  ],
  facts: [],
})

/** Fills a report from an evaluation; pictures and map come from the stores that it names, where they still are. */
export async function reportFromEvaluation(loaded: LoadedEvaluation): Promise<ReportInput> {
  const { evaluation } = loaded
  const stores = await storesOf(evaluation)
  const datasets: ReportDataset[] = []
  for (const dataset of evaluation.datasets) datasets.push(await datasetOf(loaded, dataset, stores))
  const candidates: ReportCandidate[] = []
  for (const result of evaluation.results) candidates.push(candidateOf(loaded, result, evaluation.datasets))
  candidates.push(...evaluation.datasets.map(majorityCandidate))
  const place = evaluation.datasets.map(({ key }) => new Map(loaded.items.get(key)!.ids.map((id, i) => [id, i])))
  const datasetIndex = (key: string): number => evaluation.datasets.findIndex((dataset) => dataset.key === key)
  const tests = [
    ...new Set(evaluation.differences.map(({ test }) => testNames[test]).filter((name) => name !== undefined)),
  ]
  const sign = metricSpec(evaluation.metric).better === 'higher' ? 1 : -1
  return {
    title: evaluation.datasets.map(({ name }) => name).join(', '),
    ...(evaluation.provenance.created ? { created: evaluation.provenance.created } : {}),
    datasets,
    candidates,
    primaryMetric: evaluation.metric,
    metrics: metricIds.map((id) => {
      const { title, better } = metricSpec(id)
      return { id, title, higherIsBetter: better === 'higher', format: percentMetrics.has(id) ? 'percent' : 'number' }
    }),
    comparisons: evaluation.differences.flatMap((one) =>
      one.p === null || one.adjusted === null
        ? []
        : [
            {
              a: candidateId(one.better.table, one.better.trainer),
              b: candidateId(one.worse.table, one.worse.trainer),
              metric: evaluation.metric,
              difference: sign * Math.abs(one.difference),
              ...(one.low === null ? {} : { low: one.low }),
              ...(one.high === null ? {} : { high: one.high }),
              p: one.p,
              pAdjusted: one.adjusted,
              holds: one.holds,
              test: testNames[one.test] ?? one.test,
            },
          ],
    ),
    ...(tests.length > 0 ? { testName: tests.join('; ') } : {}),
    sentences: evaluation.words,
    protocol: evaluation.datasets.map((dataset) => `${dataset.name}: ${dataset.protocolText}`),
    warnings: (evaluation.guards?.warnings ?? []).map(({ code, text }) => ({
      level: code === 'POSITIVE_INFERRED' || code === 'UNLABELLED' ? 'note' : 'warning',
      text,
    })),
    suspects: (evaluation.guards?.suspects ?? []).flatMap(({ dataset, items }) => {
      const d = datasetIndex(dataset)
      const { classes } = evaluation.datasets[d]!
      return items.map(({ id, suggested, own, other }) => ({
        dataset: d,
        row: place[d]!.get(id)!,
        suggested: classes.findIndex(({ label }) => label === suggested),
        score: other - own,
      }))
    }),
    duplicates: (evaluation.guards?.duplicates ?? []).flatMap(({ dataset, pairs }) => {
      const d = datasetIndex(dataset)
      return pairs.map(({ a, b, cosine, distance, across }) => ({
        dataset: d,
        a: place[d]!.get(a)!,
        b: place[d]!.get(b)!,
        ...(cosine === null ? {} : { cosine }),
        ...(distance === null ? {} : { bits: distance }),
        where: across ? 'across a split' : 'on one side',
      }))
    }),
    ...(evaluation.guards?.duplicates[0] ? { duplicateRule: evaluation.guards.duplicates[0].rule } : {}),
    provenance: {
      ...(evaluation.provenance.command ? { command: evaluation.provenance.command } : {}),
      seed: String(evaluation.seed),
      versions: evaluation.provenance.versions.map(([name, value]) => ({ name, value })),
      hashes: [
        { name: 'comparison plan', value: evaluation.plan },
        ...evaluation.tables.flatMap((table) =>
          table.store ? [{ name: `store of ${table.name}`, value: table.store.planHash }] : [],
        ),
        ...evaluation.datasets.map((dataset) => ({ name: `pictures of ${dataset.name}`, value: dataset.fingerprint })),
      ],
      machine: evaluation.provenance.machine.map(([name, value]) => ({ name, value: String(value) })),
    },
  }
}
