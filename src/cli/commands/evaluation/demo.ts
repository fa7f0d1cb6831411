import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { formatBytes } from '../../../base/text.js'
import { loadDatasetCard } from '../../../datasets/card.js'
import { planPull, pullDataset } from '../../../datasets/pull.js'
import { extractImages } from '../../../embeddings/extract/extract-images.js'
import { openStore } from '../../../embeddings/store/store.js'
import { planComparison, type TrainerChoice } from '../../../evaluation/plan/plan.js'
import { runComparison } from '../../../evaluation/run.js'
import { trainers } from '../../../trainers/registry.js'
import { defaultModel } from '../../choices.js'
import { defineCommand } from '../../command.js'
import { comparisonProvenance, comparisonTable, comparisonTables, defaultTrainers } from '../../comparison.js'
import { writeEvaluationReport } from '../../evaluation-report.js'
import { versions } from '../../versions.js'

/** Reference trainers cannot carry the demo's size: they get this many rows, and the table says so. */
const referenceRows = 200

export const demo = defineCommand({
  example: ['$0 demo', 'fetch backbone and images, then write demo-output/report.html'],
  options: (yargs) =>
    yargs
      .option('out', { type: 'string', default: 'demo-output', describe: 'Folder for store, evaluation and report' })
      .option('recipe', { type: 'string', describe: 'Preprocessing; default the model card’s first' })
      .option('threads', { type: 'number', default: availableParallelism(), describe: 'Threads in all' }),
  async run({ out, recipe, threads }, context) {
    const { cacheFolder, offline, progress, signal, seed } = context
    const card = await loadDatasetCard('cifar10')
    progress.say(
      `${card.title}, ${planPull(card, { cacheFolder }).trainPerClass} + ` +
        `${planPull(card, { cacheFolder }).testPerClass} images a class (${formatBytes(card.bytes)} to fetch ` +
        `unless cached); licence: ${card.licence}.`,
    )
    const images = await pullDataset(card, { cacheFolder, offline, progress, signal })
    const storePath = join(out, 'store')
    const request = {
      source: images.folder,
      model: defaultModel,
      cacheFolder,
      offline,
      progress,
      signal,
      seed,
      recipe,
    }
    const extraction = await extractImages(request, { out: storePath, versions: versions(), threads })
    progress.say(
      extraction.images > 0
        ? `Extracted ${extraction.rows} embeddings.`
        : `All ${extraction.rows} embeddings were there already.`,
    )
    const tables = await comparisonTables(await openStore(storePath))
    const choices: (string | TrainerChoice)[] = [
      ...defaultTrainers,
      ...trainers
        .filter((trainer) => trainer.reference)
        .map((trainer) => ({ id: trainer.id, maxTrainItems: referenceRows })),
    ]
    const plan = planComparison({ tables, trainers: choices, seed })
    const evaluationPath = join(out, 'evaluation')
    const evaluation = await runComparison(plan, {
      tables,
      out: evaluationPath,
      threads,
      provenance: comparisonProvenance('fc7 demo', null),
      signal,
      progress,
    })
    const report = await writeEvaluationReport(evaluationPath, join(out, 'report.html'), {
      seed,
      threads,
      signal,
      progress,
    })
    context.result(
      {
        store: resolve(storePath),
        evaluation: resolve(evaluationPath),
        report: resolve(report.html),
        results: evaluation.results.map((result) => ({
          trainer: result.trainer,
          ...result.metrics.accuracy,
          fitMs: result.timing.fitMs,
        })),
      },
      [comparisonTable(evaluation), '', ...evaluation.words, '', `The report: ${resolve(report.html)}`].join('\n'),
    )
  },
})
