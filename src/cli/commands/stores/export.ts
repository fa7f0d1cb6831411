import { exportStore as writeExport } from '../../../api/verbs/stores.js'
import { exporters } from '../../../embeddings/exporters/registry.js'
import { defineCommand } from '../../command.js'

export const exportStore = defineCommand({
  example: [
    '$0 export photos.fc7 --to npy --out photos.npy',
    'a matrix for numpy.load, with photos.index.csv beside it',
  ],
  options: (yargs) =>
    yargs
      .positional('store', { type: 'string', demandOption: true, describe: 'Store folder' })
      .option('to', {
        type: 'string',
        demandOption: true,
        choices: exporters.map((exporter) => exporter.id),
        describe: exporters.map((exporter) => `${exporter.id}: ${exporter.summary}`).join('; '),
      })
      .option('out', { type: 'string', demandOption: true, describe: 'File to write (a folder for projector)' })
      .option('layer', { type: 'string', describe: 'Layer, where the store holds several' }),
  async run({ store, to, out, layer }, context) {
    const written = await writeExport({ ...context, store, to, out, layer })
    const { files, rows, dim } = written
    context.result(written, `${files.join(', ')}: ${rows} rows of ${dim} values (${written.layer}).`)
  },
})
