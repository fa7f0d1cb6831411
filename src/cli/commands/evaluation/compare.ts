import { defaultTrainers } from '../../../api/shared/comparison-tables.js'
import { defaultModel } from '../../../api/shared/source.js'
import { planCompare, positiveClassLines, compare as runCompare } from '../../../api/verbs/compare.js'
import { metricIds } from '../../../evaluation/metrics/registry.js'
import type { ComparisonPlan } from '../../../evaluation/plan/plan.js'
import { describeProtocol, protocolKinds } from '../../../evaluation/plan/protocol.js'
import { trainers } from '../../../trainers/registry.js'
import { defineCommand } from '../../command.js'
import { comparisonTable } from '../../comparison.js'
import { sourceOptions } from '../../extraction-options.js'
import { searchOptions } from '../../search-options.js'

function planWords(plan: ComparisonPlan): string {
  const of = plan.tables.map((table) => table.name).join(', ')
  return [
    ...plan.datasets.map(
      ({ name, items, classes, folds, protocol }) =>
        `${name}: ${items} images, ${classes.length} classes, ${folds.length} folds. ${describeProtocol(protocol)}`,
    ),
    `${plan.fits.length} fits of ${plan.trainers.map((trainer) => trainer.key).join(', ')} on ${of}`,
    ...positiveClassLines(plan),
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
    const request = {
      ...options,
      ...context,
      layers: options.layer,
      memoryBytes: options.memory === undefined ? undefined : options.memory * 2 ** 30,
      command: `fc7 ${process.argv.slice(2).join(' ')}`,
    }
    if (options.dryRun) {
      const plan = await planCompare(request)
      return context.result(plan, planWords(plan))
    }
    const { evaluation, out } = await runCompare(request)
    context.result(
      evaluation,
      [comparisonTable(evaluation), '', ...evaluation.words, '', `Report: fc7 report ${out}`].join('\n'),
    )
  },
})
