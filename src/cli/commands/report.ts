import { join } from 'node:path'
import { defineCommand } from '../command.js'
import { writeEvaluationReport } from '../evaluation-report.js'

export const report = defineCommand({
  example: ['$0 report result', 'write result/report.html, .md and .json'],
  options: (yargs) =>
    yargs
      .positional('evaluation', { type: 'string', demandOption: true, describe: 'Evaluation folder' })
      .option('out', { type: 'string', describe: 'HTML file to write; default report.html in the evaluation' }),
  async run({ evaluation, out }, context) {
    const { seed, signal, progress } = context
    const written = await writeEvaluationReport(evaluation, out ?? join(evaluation, 'report.html'), {
      seed,
      signal,
      progress,
    })
    context.result(written, `${written.html} (also ${written.markdown} and ${written.json})`)
  },
})
