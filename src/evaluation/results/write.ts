import { type Data, Int32, makeData, Utf8, vectorFromArray } from 'apache-arrow'
import { writeFileAtomic, writeJsonAtomic } from '../../base/files.js'
import {
  encodeColumns,
  evaluationPath,
  experimentPath,
  int32Column,
  itemsPath,
  type KeptFit,
  predictionsPath,
  scoresColumn,
} from '../fit/fit-files.js'
import { accuracy, confusionOf, meanClassAccuracy } from '../metrics/confusion.js'
import { type ComparisonPlan, planText } from '../plan/plan.js'
import { describeProtocol } from '../plan/protocol.js'
import { entriesOf, type TableInput } from './outcomes.js'
import { type Evaluation, evaluationSchema, type Guards } from './schema.js'
import type { Summary } from './summary.js'

const text = (values: readonly (string | null)[]): Data =>
  vectorFromArray(values as (string | null)[], new Utf8()).data[0]!

/** `predictions-<dataset>.arrow`: one row for each main test prediction, in plan order of the fits. */
function encodePredictions(
  plan: ComparisonPlan,
  sources: readonly TableInput[],
  kept: ReadonlyMap<string, KeptFit>,
  dataset: ComparisonPlan['datasets'][number],
  hash: string,
): Uint8Array {
  const entries = entriesOf(plan, sources, kept).filter((entry) => entry.table.dataset === dataset.key)
  const rows = entries.reduce((sum, entry) => sum + entry.item.length, 0)
  const classes = dataset.classes.length
  const item = new Int32Array(rows)
  const truth = new Int32Array(rows)
  const predicted = new Int32Array(rows)
  const repeat = new Int32Array(rows)
  const fold = new Int32Array(rows)
  const scores = new Float32Array(rows * classes)
  const table: string[] = []
  const trainer: string[] = []
  const id: string[] = []
  let at = 0
  for (const entry of entries) {
    const { outcome } = entry
    item.set(entry.item, at)
    truth.set(outcome.truth, at)
    predicted.set(outcome.predicted, at)
    scores.set(outcome.scores, at * classes)
    entry.item.forEach((number, i) => {
      const own = entry.folds[outcome.fit[i]!]!
      repeat[at + i] = own.repeat
      fold[at + i] = own.fold
      table.push(entry.table.key)
      trainer.push(entry.trainer.key)
      id.push(entry.source.items.ids[number]!)
    })
    at += entry.item.length
  }
  return encodeColumns(
    [
      ['table', text(table)],
      ['trainer', text(trainer)],
      ['repeat', int32Column(repeat)],
      ['fold', int32Column(fold)],
      ['item', int32Column(item)],
      ['id', text(id)],
      ['truth', int32Column(truth)],
      ['predicted', int32Column(predicted)],
      ['scores', scoresColumn(scores, rows, classes)],
    ],
    rows,
    new Map([
      ['fc7.plan', hash],
      ['fc7.classes', JSON.stringify(dataset.classes)],
    ]),
  )
}

/** `items-<dataset>.arrow`: the labelled images, in the order of their item numbers. */
function encodeItems({ items }: TableInput, hash: string): Uint8Array {
  return encodeColumns(
    [
      ['id', text(items.ids)],
      ['path', text(items.paths)],
      ['label', text(items.labels)],
      ['split', text(items.splits)],
      ['group', text(items.groups)],
      ['y', makeData({ type: new Int32(), length: items.y.length, nullCount: 0, data: items.y })],
    ],
    items.ids.length,
    new Map([['fc7.plan', hash]]),
  )
}

/** The largest class of each main fold's training side, predicted for all its test images. */
function majority({ dataset, items }: TableInput): Evaluation['datasets'][number]['majority'] {
  const truth: number[] = []
  const predicted: number[] = []
  const votes = new Map<number, number>()
  for (const fold of dataset.folds) {
    if (fold.purpose !== 'main') continue
    const counts = new Int32Array(dataset.classes.length)
    for (const item of fold.train) counts[items.y[item]!]!++
    const largest = counts.indexOf(Math.max(...counts))
    votes.set(largest, (votes.get(largest) ?? 0) + 1)
    for (const item of fold.test) {
      truth.push(items.y[item]!)
      predicted.push(largest)
    }
  }
  const confusion = confusionOf(truth, predicted, dataset.classes.length)
  const label = [...votes].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0]![0]
  return {
    label: dataset.classes[label]!,
    accuracy: accuracy(confusion) ?? 0,
    meanClassAccuracy: meanClassAccuracy(confusion) ?? 0,
  }
}

/** Writes items, predictions and the experiment file, then `evaluation.json`, which makes the evaluation whole. */
export async function writeEvaluation(
  folder: string,
  plan: ComparisonPlan,
  sources: readonly TableInput[],
  kept: ReadonlyMap<string, KeptFit>,
  found: Summary & { readonly guards: Guards | null },
  provenance: Evaluation['provenance'] = { command: null, experiment: null, created: null, versions: [], machine: [] },
): Promise<Evaluation> {
  const { hash } = planText(plan)
  const sourceOf = (key: string): TableInput => sources.find((source) => source.dataset.key === key)!
  for (const dataset of plan.datasets) {
    await writeFileAtomic(itemsPath(folder, dataset.key), encodeItems(sourceOf(dataset.key), hash))
    await writeFileAtomic(predictionsPath(folder, dataset.key), encodePredictions(plan, sources, kept, dataset, hash))
  }
  const evaluation: Evaluation = {
    format: 1,
    plan: hash,
    provenance,
    seed: plan.seed,
    metric: plan.metric,
    resamples: plan.resamples,
    level: 0.95,
    datasets: plan.datasets.map((dataset) => {
      const { items } = sourceOf(dataset.key)
      const main = dataset.folds.filter((fold) => fold.purpose === 'main')
      const tested = new Set(main.flatMap((fold) => fold.test))
      return {
        key: dataset.key,
        name: dataset.name,
        fingerprint: dataset.fingerprint,
        items: dataset.items,
        unlabelled: dataset.unlabelled,
        classes: dataset.classes.map((label, k) => ({
          label,
          items: items.y.filter((y) => y === k).length,
          tested: [...tested].filter((item) => items.y[item] === k).length,
        })),
        positive: dataset.positive,
        protocol: dataset.protocol,
        protocolText: describeProtocol(dataset.protocol),
        folds: main.map((fold) => ({
          id: fold.id,
          repeat: fold.repeat,
          train: fold.train.length,
          test: fold.test.length,
        })),
        majority: majority(sourceOf(dataset.key)),
      }
    }),
    tables: plan.tables.map((table, t) => {
      const store = sources[t]!.input.store
      return { ...table, store: store ? { ...store } : null }
    }),
    trainers: plan.trainers.map((trainer) => ({
      ...trainer,
      tune: trainer.tune && {
        search: trainer.tune.search,
        innerFolds: trainer.tune.innerFolds,
        candidates: trainer.tune.candidates.length,
      },
    })),
    ...found,
  }
  // A figure that JSON cannot hold must fail here, not in a report.
  evaluationSchema.parse(evaluation)
  if (provenance.experiment !== null) await writeFileAtomic(experimentPath(folder), provenance.experiment)
  await writeJsonAtomic(evaluationPath(folder), evaluation)
  return evaluation
}
