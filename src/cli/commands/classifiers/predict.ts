import { predict as classify, type PredictResult } from '../../../api/verbs/predict.js'
import { defineCommand } from '../../command.js'
import { sourceOptions } from '../../extraction-options.js'
import { formatTable } from '../../terminal.js'

/** The predictions as a terminal shows them. */
function predictionTable({ predictions, scoreKind }: PredictResult): string {
  const labelled = predictions.some((row) => row.label !== null)
  return formatTable(
    ['image', 'predicted', scoreKind, ...(labelled ? ['label'] : [])],
    predictions.map((row) => [
      row.path,
      row.top.map((best) => best.label).join(', '),
      row.top.map((best) => best.score.toFixed(3)).join(', '),
      ...(labelled ? [row.label ?? ''] : []),
    ]),
  )
}

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
    const result = await classify({ ...options, ...context, layers: options.layer })
    const { predictions, fresh, right, trainedOn, failures } = result
    const lines = [
      options.out === undefined ? predictionTable(result) : `${options.out}: ${predictions.length} predictions.`,
      ...(fresh > 0
        ? [
            `${right} of ${fresh} labelled rows that it was not trained on are right ` +
              `(${((100 * right) / fresh).toFixed(1)} %).`,
          ]
        : []),
      ...(trainedOn > 0 ? [`${trainedOn} rows were trained on: their predictions prove nothing.`] : []),
      ...(failures > 0 ? [`${failures} images could not be embedded: see ${result.store}/failures.jsonl`] : []),
    ]
    context.result(
      {
        rows: predictions.length,
        scoreKind: result.scoreKind,
        accuracy: fresh > 0 ? right / fresh : null,
        trainedOn,
        failures,
        out: options.out ?? null,
        predictions: options.out === undefined ? predictions : undefined,
      },
      lines.join('\n'),
    )
  },
})
