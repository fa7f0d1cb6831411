import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { demo as runDemo } from '../../../api/verbs/demo.js'
import { defineCommand } from '../../command.js'
import { comparisonTable } from '../../comparison.js'

export const demo = defineCommand({
  example: ['$0 demo', 'fetch backbone and images, then write demo-output/report.html'],
  options: (yargs) =>
    yargs
      .option('out', { type: 'string', default: 'demo-output', describe: 'Folder for store, evaluation and report' })
      .option('recipe', { type: 'string', describe: 'Preprocessing; default the model card’s first' })
      .option('threads', { type: 'number', default: availableParallelism(), describe: 'Threads in all' }),
  async run({ out, recipe, threads }, context) {
    const { store, evaluation, report, results } = await runDemo({ ...context, out, recipe, threads })
    context.result(
      {
        store: resolve(store),
        evaluation: resolve(evaluation),
        report: resolve(report),
        results: results.results.map((result) => ({
          trainer: result.trainer,
          ...result.metrics.accuracy,
          fitMs: result.timing.fitMs,
        })),
      },
      [comparisonTable(results), '', ...results.words, '', `The report: ${resolve(report)}`].join('\n'),
    )
  },
})
