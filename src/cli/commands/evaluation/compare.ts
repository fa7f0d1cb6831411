import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { Fc7Error } from '../../../base/errors.js'
import { groupDuplicates } from '../../../evaluation/guards/group-duplicates.js'
import { metricIds } from '../../../evaluation/metrics/registry.js'
import { comparisonOptions } from '../../../evaluation/plan/experiment.js'
import { type ComparisonPlan, planComparison } from '../../../evaluation/plan/plan.js'
import { describeProtocol, protocolKinds } from '../../../evaluation/plan/protocol.js'
import { runComparison } from '../../../evaluation/run.js'
import { getTrainer, trainers } from '../../../trainers/registry.js'
import { defaultModel } from '../../choices.js'
import { defineCommand } from '../../command.js'
import { comparisonProvenance, comparisonTable, defaultTrainers } from '../../comparison.js'
import { chosenExperiment, experimentStores, experimentTables, keptExperiment } from '../../experiment.js'
import { sourceOptions } from '../../extraction-options.js'
import { searchOptions } from '../../search-options.js'

/** What the user should know about positive classes before anything is fitted. */
function positiveWords({ datasets }: ComparisonPlan): string[] {
  return datasets.flatMap(({ name, positive, classes }) => {
    if (positive?.source === 'inferred')
      return [`${name}: "${positive.label}" is taken as the positive class (--positive names another).`]
    if (positive === null && classes.length === 2)
      return [
        `${name}: neither "${classes[0]}" nor "${classes[1]}" is known to be the positive class; --positive ` +
          'gives sensitivity and specificity.',
      ]
    return []
  })
}

function planWords(plan: ComparisonPlan): string {
  const of = plan.tables.map((table) => table.name).join(', ')
  return [
    ...plan.datasets.map(
      ({ name, items, classes, folds, protocol }) =>
        `${name}: ${items} images, ${classes.length} classes, ${folds.length} folds. ${describeProtocol(protocol)}`,
    ),
    `${plan.fits.length} fits of ${plan.trainers.map((trainer) => trainer.key).join(', ')} on ${of}`,
    ...positiveWords(plan),
  ].join('\n')
}

export const compare = defineCommand({
  example: [
    '$0 compare photos.fc7 --trainers linear-svm,logistic,knn --out result',
    'test split if there is one, else stratified five-fold',
  ],
  options: (yargs) =>
    searchOptions(sourceOptions(yargs), 'Search each trainer’s grid inside the folds')
      .positional('sources', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'Stores or folders of images, or one experiment file (.yaml)',
      })
      .option('out', { type: 'string', describe: 'Evaluation folder to write' })
      .option('trainers', {
        type: 'string',
        describe:
          `Comma-separated: ${trainers.map((trainer) => trainer.id).join(', ')} (default ` +
          `${defaultTrainers.join(',')})`,
      })
      .option('model', { type: 'string', default: defaultModel, describe: 'Backbone for images' })
      .option('layer', { type: 'string', array: true, describe: 'Layers; default all of a store' })
      .option('protocol', { choices: protocolKinds, describe: 'Default: what the data ask for' })
      .option('folds', { type: 'number', describe: 'Folds of the cross-validation' })
      .option('repeats', { type: 'number', describe: 'Repeats of it' })
      .option('holdout', { choices: ['val', 'test'] as const, describe: 'Split to test on' })
      .option('per-class', { type: 'number', describe: 'Training images a class (few-shot 5, decaf 30)' })
      .option('draws', { type: 'number', describe: 'Random draws (few-shot 20) or splits (decaf 5)' })
      .option('test-per-class', { type: 'number', describe: 'Test at most so many a class in a draw' })
      .option('metric', { choices: metricIds, describe: 'What the ranking goes by (default accuracy)' })
      .option('positive', { type: 'string', describe: 'The positive class of a binary task' })
      .option('operating', {
        type: 'string',
        describe: 'Operating point of a binary task: youden, threshold=…, sensitivity=…, specificity=…',
      })
      .option('curve', { type: 'boolean', describe: 'Learning curve at 10, 20, 40, 80, 100 % of the training rows' })
      .option('group-duplicates', {
        type: 'boolean',
        describe: 'Keep near-duplicate images on one side of every fold',
      })
      .option('trained-on', {
        type: 'string',
        array: true,
        describe: 'Folder of a fine-tuned backbone: its images are refused for testing',
      })
      .option('memory', { type: 'number', describe: 'GiB that fits may take together (default half of the machine)' })
      .option('dry-run', { type: 'boolean', default: false, describe: 'Print the plan, fit nothing' }),
  async run(options, context) {
    const threads = options.threads ?? availableParallelism()
    const { trainers: wanted, protocol, folds, repeats, holdout, perClass, draws, testPerClass } = options
    const { metric, positive, operating, curve, tune, search, candidates, innerFolds } = options
    const { experiment, folder } = await chosenExperiment(
      options.sources,
      {
        ...{ trainers: wanted, protocol, folds, repeats, holdout, perClass, draws, testPerClass },
        ...{ metric, positive, operating, curve, tune, search, candidates, innerFolds },
        groupDuplicates: options.groupDuplicates,
      },
      { trainers: defaultTrainers, seed: context.seed },
    )
    const out = options.out ?? (experiment.out === undefined ? undefined : resolve(folder, experiment.out))
    if (out === undefined)
      throw new Fc7Error('USAGE_OUT', 'Where should the evaluation go?', { hint: 'Give a folder with --out.' })
    // A misspelt trainer should not cost an extraction.
    for (const one of experiment.trainers) getTrainer(typeof one === 'string' ? one : one.id)
    const inputs = await experimentStores(experiment, folder, options, context)
    let tables = await experimentTables(inputs, options.trainedOn ?? [])
    if (experiment['group-duplicates']) {
      const grouped = await groupDuplicates(tables, { threads, signal: context.signal })
      tables = grouped.tables
      context.progress.say(`${grouped.images} near-duplicate images are kept together.`)
    }
    const plan = planComparison({ ...comparisonOptions(experiment), tables })
    if (options.dryRun) return context.result(plan, planWords(plan))
    for (const line of positiveWords(plan)) context.progress.say(line)
    const evaluation = await runComparison(plan, {
      tables,
      out,
      threads,
      ...(options.memory === undefined ? {} : { memoryBytes: options.memory * 2 ** 30 }),
      provenance: comparisonProvenance(
        `fc7 ${process.argv.slice(2).join(' ')}`,
        keptExperiment(experiment, inputs, out),
      ),
      signal: context.signal,
      progress: context.progress,
    })
    context.result(
      evaluation,
      [comparisonTable(evaluation), '', ...evaluation.words, '', `Report: fc7 report ${out}`].join('\n'),
    )
  },
})
