import { report as writeReport } from '../../../api/verbs/report.js'
import { defineCommand } from '../../command.js'

export const report = defineCommand({
  example: ['$0 report result', 'write result/report.html, .md and .json'],
  options: (yargs) =>
    yargs
      .positional('evaluation', {
        type: 'string',
        demandOption: true,
        describe: 'Evaluation folder, or that of a training',
      })
      .option('out', { type: 'string', describe: 'HTML file to write; default report.html (curves.html) in it' }),
  async run({ evaluation, out }, context) {
    const { html, markdown, json } = await writeReport({ ...context, evaluation, out })
    if (markdown === null) context.result({ html }, html)
    else context.result({ html, markdown, json }, `${html} (also ${markdown} and ${json})`)
  },
})
