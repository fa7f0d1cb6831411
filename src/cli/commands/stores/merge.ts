import { mergeStores } from '../../../api/verbs/stores.js'
import { defineCommand } from '../../command.js'

export const merge = defineCommand({
  example: ['$0 merge part0 part1 --out whole', 'join what two machines extracted with --shards 2'],
  options: (yargs) =>
    yargs
      .positional('stores', { type: 'string', array: true, demandOption: true, describe: 'Part stores' })
      .option('out', { type: 'string', demandOption: true, describe: 'Folder of the joined store' }),
  async run({ stores, out }, context) {
    const { manifest, missing } = await mergeStores({ ...context, stores, out })
    context.result(
      { out, rows: manifest?.rows ?? null, missingShards: missing },
      manifest
        ? `${out}: ${manifest.rows} rows, ${manifest.failures} failures.`
        : `${out} still lacks ${missing.length} shards ` +
            `(${missing.slice(0, 10).join(', ')}${missing.length > 10 ? ', …' : ''}).`,
    )
    if (!manifest) process.exitCode = 1
  },
})
