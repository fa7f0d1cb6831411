import { exportSource } from '../../../embeddings/exporters/export.js'
import { exporters, getExporter } from '../../../embeddings/exporters/registry.js'
import { openStore } from '../../../embeddings/store/store.js'
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
    const source = exportSource(await openStore(store), layer)
    const files = await getExporter(to).write(source, out)
    context.result(
      { files, rows: source.rows, dim: source.dim, layer: source.layer },
      `${files.join(', ')}: ${source.rows} rows of ${source.dim} values (${source.layer}).`,
    )
  },
})
