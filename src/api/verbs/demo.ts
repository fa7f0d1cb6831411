import { join } from 'node:path'
import { formatBytes } from '../../base/text.js'
import { loadDatasetCard } from '../../datasets/card.js'
import { planPull, pullDataset } from '../../datasets/pull.js'
import { openStore } from '../../embeddings/store/store.js'
import { planComparison, type TrainerChoice } from '../../evaluation/plan/plan.js'
import type { Evaluation } from '../../evaluation/results/schema.js'
import { runComparison } from '../../evaluation/run.js'
import { trainers } from '../../trainers/registry.js'
import { comparisonProvenance, comparisonTables, defaultTrainers } from '../shared/comparison-tables.js'
import { type CommonOptions, contextOf } from '../shared/context.js'
import { extract } from './extract.js'
import { report } from './report.js'

/** Reference trainers cannot carry the demo's size: they get this many rows, and the table says so. */
const referenceRows = 200

export interface DemoOptions extends CommonOptions {
  /** Folder for store, evaluation and report. */
  readonly out: string
  readonly recipe?: string | undefined
  readonly threads: number
}

export interface DemoResult {
  readonly store: string
  readonly evaluation: string
  readonly report: string
  readonly results: Evaluation
}

/** The main job end to end on a small public data set: images, embeddings, comparison, report. */
export async function demo(options: DemoOptions): Promise<DemoResult> {
  const context = contextOf(options)
  const { cacheFolder, progress, signal, seed } = context
  const { out, recipe, threads } = options
  const card = await loadDatasetCard('cifar10')
  const { trainPerClass, testPerClass } = planPull(card, { cacheFolder })
  progress.say(
    `${card.title}, ${trainPerClass} + ${testPerClass} images a class (${formatBytes(card.bytes)} to fetch unless ` +
      `cached); licence: ${card.licence}.`,
  )
  const { folder: source } = await pullDataset(card, context)
  const store = join(out, 'store')
  const extraction = await extract({ ...context, source, recipe, threads, out: store })
  const done = extraction.images > 0
  progress.say(
    done ? `Extracted ${extraction.rows} embeddings.` : `All ${extraction.rows} embeddings were there already.`,
  )
  const tables = await comparisonTables(await openStore(store))
  const reference = trainers.filter((trainer) => trainer.reference)
  const choices: (string | TrainerChoice)[] = [
    ...defaultTrainers,
    ...reference.map((trainer) => ({ id: trainer.id, maxTrainItems: referenceRows })),
  ]
  const plan = planComparison({ tables, trainers: choices, seed })
  const evaluation = join(out, 'evaluation')
  const provenance = comparisonProvenance('fc7 demo', null)
  const results = await runComparison(plan, { tables, out: evaluation, threads, provenance, signal, progress })
  const written = await report({ ...context, evaluation, out: join(out, 'report.html'), threads })
  return { store, evaluation, report: written.html, results }
}
