import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { Fc7Error } from '../../../base/errors.js'
import { writeFileAtomic } from '../../../base/files.js'
import { loadClassifier } from '../../../classifiers/load.js'
import { predictTable } from '../../../classifiers/predict.js'
import { predictionsCsv } from '../../../classifiers/predictions-csv.js'
import { checkProvenance } from '../../../classifiers/provenance.js'
import { provenanceOf } from '../../../classifiers/store-provenance.js'
import { readTable } from '../../../embeddings/store/store.js'
import { defineCommand } from '../../command.js'
import { sourceOptions } from '../../extraction-options.js'
import { ownNetwork } from '../../own-network.js'
import { storeFor } from '../../stores.js'
import { formatTable } from '../../terminal.js'

export const predict = defineCommand({
  example: ['$0 predict photos.svm new-photos/ --top 3 --out predictions.csv', 'embed and classify a folder'],
  options: (yargs) =>
    sourceOptions(yargs)
      .positional('classifier', { type: 'string', demandOption: true, describe: 'Classifier folder' })
      .positional('source', { type: 'string', demandOption: true, describe: 'Images or a store' })
      .option('model', { type: 'string', describe: 'Backbone id or ONNX file; default the classifier’s' })
      .option('layer', { type: 'string', array: true, describe: 'Layer; default the classifier’s' })
      .option('top', { type: 'number', default: 1, describe: 'Classes to list for each image' })
      .option('out', { type: 'string', describe: 'File to write, .csv or .jsonl' }),
  async run(options, context) {
    const format = options.out === undefined ? undefined : extname(options.out)
    if (format !== undefined && format !== '.csv' && format !== '.jsonl') {
      throw new Fc7Error('USAGE_OUT', `${options.out} ends neither in .csv nor in .jsonl.`, {
        hint: 'The ending of --out chooses the format.',
      })
    }
    const classifier = await loadClassifier(options.classifier)
    const { provenance } = classifier.info
    const [recipeName] = provenance.recipe.split(' ')
    const store = await storeFor(
      options.source,
      {
        ...options,
        model: options.model ?? (() => ownNetwork(provenance, context.cacheFolder)),
        layer: options.layer ?? [provenance.layer],
        recipe: options.recipe ?? (recipeName === 'none' ? undefined : recipeName),
      },
      context,
    )
    const layers = store.plan.layers.map((layer) => layer.name)
    const layer = options.layer?.[0] ?? (layers.includes(provenance.layer) ? provenance.layer : layers[0]!)
    const table = await readTable(store, layer)
    checkProvenance(classifier.info, { ...provenanceOf(store, layer), dim: table.dim })
    const predictions = await predictTable(classifier, table, {
      top: options.top,
      threads: options.threads ?? availableParallelism(),
      signal: context.signal,
    })
    const labelled = predictions.filter((row) => row.label !== null)
    const fresh = labelled.filter((row) => !row.trainedOn)
    const right = fresh.filter((row) => row.label === row.predicted).length
    const seen = predictions.filter((row) => row.trainedOn).length
    if (options.out !== undefined) {
      await writeFileAtomic(
        options.out,
        format === '.csv'
          ? predictionsCsv(predictions, Math.min(options.top, classifier.classes.length))
          : predictions.map((row) => `${JSON.stringify(row)}\n`).join(''),
      )
    }
    const lines = [
      options.out === undefined
        ? formatTable(
            ['image', 'predicted', classifier.scoreKind, ...(labelled.length > 0 ? ['label'] : [])],
            predictions.map((row) => [
              row.path,
              row.top.map((best) => best.label).join(', '),
              row.top.map((best) => best.score.toFixed(3)).join(', '),
              ...(labelled.length > 0 ? [row.label ?? ''] : []),
            ]),
          )
        : `${options.out}: ${predictions.length} predictions.`,
      ...(fresh.length > 0
        ? [
            `${right} of ${fresh.length} labelled rows that it was not trained on are right ` +
              `(${((100 * right) / fresh.length).toFixed(1)} %).`,
          ]
        : []),
      ...(seen > 0 ? [`${seen} rows were trained on: their predictions prove nothing.`] : []),
      ...(store.manifest.failures > 0
        ? [`${store.manifest.failures} images could not be embedded: see ${store.path}/failures.jsonl`]
        : []),
    ]
    context.result(
      {
        rows: predictions.length,
        scoreKind: classifier.scoreKind,
        accuracy: fresh.length > 0 ? right / fresh.length : null,
        trainedOn: seen,
        failures: store.manifest.failures,
        out: options.out ?? null,
        ...(options.out === undefined ? { predictions } : {}),
      },
      lines.join('\n'),
    )
  },
})
