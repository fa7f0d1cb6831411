import { defaultModel } from '../../../api/shared/source.js'
import { advise as giveAdvice, planAdvise } from '../../../api/verbs/advise.js'
import { adviceText } from '../../advice-text.js'
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
    const request = { ...options, ...context }
    if (options.dryRun) {
      const plan = await planAdvise(request)
      const { images, folds, repeats, fits, layers, notes } = plan
      context.result(
        plan,
        [
          `${fits} fits on ${images} images: ${folds} folds${repeats > 1 ? `, ${repeats} times,` : ''} of ` +
            `${layers.join(', ')} and a learning curve.`,
          ...notes,
        ].join('\n'),
      )
      return
    }
    const { advice, html, json } = await giveAdvice(request)
    const text = adviceText(advice)
    context.result({ advice, html, json }, html ? `${text}\n\nThe page: ${html} (also ${json})` : text)
  },
})
