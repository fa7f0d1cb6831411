import { verifyStore } from '../../../api/verbs/stores.js'
import { defineCommand } from '../../command.js'

export const verify = defineCommand({
  example: ['$0 verify photos.fc7', 'say whether the store is whole'],
  options: (yargs) => yargs.positional('store', { type: 'string', demandOption: true, describe: 'Store folder' }),
  async run({ store }, context) {
    const result = await verifyStore({ ...context, store })
    const lines = result.findings.map(
      (finding) => `${finding.severity === 'error' ? '✗' : '–'} ${finding.file}: ${finding.problem}`,
    )
    lines.push(
      `${result.rows} rows, ${result.failures} failures: ` +
        `${result.ok ? 'the store is whole.' : 'the store is damaged.'}`,
    )
    if (!result.ok)
      lines.push('Run the same `fc7 extract` again after deleting the shards named above; it computes only those.')
    context.result(result, lines.join('\n'))
    if (!result.ok) process.exitCode = 1
  },
})
