import { availableParallelism } from 'node:os'
import { metricIds } from '../../evaluation/metric-list.js'
import { planComparison } from '../../evaluation/plan.js'
import { runComparison } from '../../evaluation/run.js'
import { getTrainer, trainers } from '../../trainers/registry.js'
import { defaultModel } from '../choices.js'
import { defineCommand } from '../command.js'
import { comparisonProvenance, comparisonTable, comparisonTables, defaultTrainers } from '../comparison.js'
import { sourceOptions } from '../extraction-options.js'
import { storeFor } from '../stores.js'

export const compare = defineCommand({
  example: [
    '$0 compare photos.fc7 --trainers linear-svm,logistic,knn --out result',
    'test split if there is one, else stratified five-fold',
  ],
  options: (yargs) =>
    sourceOptions(yargs)
      .positional('sources', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'Stores, or folders of pictures',
      })
      .option('out', { type: 'string', demandOption: true, describe: 'Evaluation folder to write' })
      .option('trainers', {
        type: 'string',
        default: defaultTrainers.join(','),
        describe: `Comma-separated: ${trainers.map((trainer) => trainer.id).join(', ')}`,
      })
      .option('model', { type: 'string', default: defaultModel, describe: 'Backbone for pictures' })
      .option('layer', { type: 'string', array: true, describe: 'Layers; default all of a store' })
      .option('folds', { type: 'number', describe: 'Folds of the cross-validation' })
      .option('repeats', { type: 'number', describe: 'Repeats of it' })
      .option('holdout', { choices: ['val', 'test'] as const, describe: 'Split to test on' })
      .option('metric', { choices: metricIds, describe: 'What the ranking goes by' })
      .option('positive', { type: 'string', describe: 'The positive class of a binary task' })
      .option('curve', {
        type: 'boolean',
        default: false,
        describe: 'Learning curve at 10, 20, 40, 80 % of the training rows',
      })
      .option('tune', { type: 'boolean', default: false, describe: 'Search each trainer’s grid inside the folds' })
      .option('dry-run', { type: 'boolean', default: false, describe: 'Print the plan, fit nothing' }),
  async run(options, context) {
    const ids = options.trainers
      .split(',')
      .map((id) => id.trim())
      .filter(Boolean)
    // A misspelt trainer should not cost an extraction.
    for (const id of ids) getTrainer(id)
    const tables = []
    for (const source of options.sources)
      tables.push(...(await comparisonTables(await storeFor(source, options, context), options.layer)))
    const plan = planComparison({
      tables,
      trainers: ids,
      seed: context.seed,
      tune: options.tune,
      ...(options.folds === undefined ? {} : { folds: options.folds }),
      ...(options.repeats === undefined ? {} : { repeats: options.repeats }),
      ...(options.holdout === undefined ? {} : { holdout: options.holdout }),
      ...(options.metric === undefined ? {} : { metric: options.metric }),
      ...(options.positive === undefined ? {} : { positive: options.positive }),
      ...(options.curve ? { curve: [0.1, 0.2, 0.4, 0.8] } : {}),
    })
    if (options.dryRun) {
      const lines = plan.datasets.map(
        (dataset) =>
          `${dataset.name}: ${dataset.items} pictures, ${dataset.classes.length} classes, ${dataset.folds.length} folds`,
      )
      context.result(
        plan,
        [
          ...lines,
          `${plan.fits.length} fits of ${plan.trainers.map((trainer) => trainer.id).join(', ')} on ${plan.tables.map((table) => table.name).join(', ')}`,
        ].join('\n'),
      )
      return
    }
    const evaluation = await runComparison(plan, {
      tables,
      out: options.out,
      threads: options.threads ?? availableParallelism(),
      provenance: comparisonProvenance(`fc7 ${process.argv.slice(2).join(' ')}`),
      signal: context.signal,
      progress: context.progress,
    })
    context.result(
      evaluation,
      [comparisonTable(evaluation), '', ...evaluation.words, '', `Report: fc7 report ${options.out}`].join('\n'),
    )
  },
})
