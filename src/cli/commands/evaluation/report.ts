import { join } from 'node:path'
import { isTraining, readTraining } from '../../../finetune/result/record.js'
import { curvesName, writeTraining } from '../../../report/pages/training-page.js'
import { defineCommand } from '../../command.js'
import { writeEvaluationReport } from '../../evaluation-report.js'

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
    if (await isTraining(evaluation)) {
      const html = out ?? join(evaluation, curvesName)
      await writeTraining(await readTraining(evaluation), html)
      context.result({ html }, html)
      return
    }
    const { seed, signal, progress } = context
    const written = await writeEvaluationReport(evaluation, out ?? join(evaluation, 'report.html'), {
      seed,
      signal,
      progress,
    })
    context.result(written, `${written.html} (also ${written.markdown} and ${written.json})`)
  },
})
