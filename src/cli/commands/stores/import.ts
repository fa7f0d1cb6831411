import { importEmbeddings } from '../../../api/verbs/stores.js'
import { defineCommand } from '../../command.js'

export const importStore = defineCommand({
  example: ['$0 import x.npy --labels labels.csv --out x.fc7', 'a numpy matrix and its labels'],
  options: (yargs) =>
    yargs
      .positional('file', { type: 'string', demandOption: true, describe: '.npy, .parquet or .csv' })
      .option('labels', { type: 'string', describe: 'CSV with a label (and id, path, split, group) for each row' })
      .option('name', { type: 'string', describe: 'What the embeddings are called' })
      .option('out', { type: 'string', demandOption: true, describe: 'Store folder to write' })
      .option('force', { type: 'boolean', default: false, describe: 'Replace another store there' }),
  async run({ file, labels, name, out, force }, context) {
    const manifest = await importEmbeddings({ ...context, file, out, force, labels, name })
    context.result(
      { out, rows: manifest.rows, dim: manifest.layers[0]?.dim, classes: manifest.classes },
      `${out}: ${manifest.rows} rows of ${manifest.layers[0]?.dim} values, ${manifest.classes.length} classes.`,
    )
  },
})
