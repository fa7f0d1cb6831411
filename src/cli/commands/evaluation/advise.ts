import { join } from 'node:path'
import { planAdvice } from '../../../advisor/evidence/plan.js'
import { itemsOf } from '../../../evaluation/plan/items.js'
import { writeAdvice } from '../../../report/pages/advice-page.js'
import { advisedDepths, adviseOn } from '../../advice.js'
import { defaultModel } from '../../choices.js'
import { defineCommand } from '../../command.js'
import { sourceOptions } from '../../extraction-options.js'

export const advise = defineCommand({
  example: ['$0 advise photos/ --out advice', 'measure, then say whether to fine-tune and what to run next'],
  options: (yargs) =>
    sourceOptions(yargs)
      .positional('source', { type: 'string', demandOption: true, describe: 'Store, or folder of images' })
      .option('model', { type: 'string', default: defaultModel, describe: 'Backbone for images' })
      .option('epochs', {
        type: 'number',
        describe: 'Epochs that costs are estimated for; default those of each strategy',
      })
      .option('out', { type: 'string', describe: 'Folder for advice.html and advice.json' })
      .option('dry-run', {
        type: 'boolean',
        default: false,
        describe: 'Embed, say what would be measured, fit nothing',
      }),
  async run(options, context) {
    const prepared = await advisedDepths(options.source, { ...options, layer: undefined }, context)
    if (options.dryRun) {
      const { sample, folds, curveFolds, fits, notes } = planAdvice(
        itemsOf(prepared.depths.at(-1)!.table),
        prepared.depths.length,
        context.seed,
      )
      const repeats = new Set(folds.map(({ repeat }) => repeat)).size
      const layers = prepared.depths.map(({ table }) => table.layer)
      context.result(
        { images: sample.length, folds: curveFolds.length, repeats, fits, layers, notes },
        [
          `${fits} fits on ${sample.length} images: ${curveFolds.length} folds${repeats > 1 ? `, ${repeats} times,` : ''} of ${layers.join(', ')} and a learning curve.`,
          ...notes,
        ].join('\n'),
      )
      return
    }
    const { advice, text } = await adviseOn(prepared, { epochs: options.epochs, threads: options.threads }, context)
    const files = options.out === undefined ? undefined : await writeAdvice(advice, join(options.out, 'advice.html'))
    context.result(
      { advice, html: files?.html ?? null, json: files?.json ?? null },
      files ? `${text}\n\nThe page: ${files.html} (also ${files.json})` : text,
    )
  },
})
